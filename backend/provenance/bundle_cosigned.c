/* Cosignatures in bundles: which lines of witnesses go with a checkpoint, and what they say. */
#include "backend/provenance/bundle_parts.h"

#include "backend/base/clock.h"
#include <stdlib.h>
#include <string.h>

/* ---- making one ---- */

struct adding {
    struct buf note; /* with the lines that were added */
    json_t *witnesses;
};

static void name_witness(json_t *list, const char *vkey)
{
    size_t i;
    json_t *known;
    json_array_foreach(list, i, known) if (strcmp(json_string_value(known), vkey) == 0) return;
    json_array_append_new(list, json_string(vkey));
}

/* A line that does not verify, or for which there is no room, is left out. */
static bool add_line(void *arg, const struct store_row *row)
{
    struct adding *a = arg;
    struct prov__vkey key;
    struct prov__checkpoint c;
    struct prov__cosignature by;
    const char *vkey = store_text(row, 0), *line = store_text(row, 1);
    size_t before = a->note.len;
    if (!vkey || !line || json_array_size(a->witnesses) >= BUNDLE__WITNESSES ||
        before + strlen(line) > PROV__NOTE_MAX ||
        !prov__vkey_read_as(PROV__COSIGNATURE, vkey, &key))
        return true;
    buf_adds(&a->note, line);
    if (prov__note_read(a->note.data, a->note.len, &c) == NULL &&
        prov__cosigned(&c, &key, &by) == PROV__SIGNED) {
        name_witness(a->witnesses, vkey);
    } else {
        a->note.len = before;
        a->note.data[before] = '\0';
    }
    return true;
}

enum err bundle__note_add(struct store_db *db, const char *origin, int64_t size, const char *note,
                          json_t *witnesses, struct buf *out, struct error *e)
{
    struct adding a = {.witnesses = witnesses};
    buf_adds(&a.note, note);
    enum err code = store_query(db, e, add_line, &a,
                                "SELECT key, line FROM cosignatures WHERE origin = ? AND size = ?"
                                " ORDER BY key LIMIT 32",
                                "si", origin, size);
    buf_addf(out, "%s\n", a.note.data);
    buf_release(&a.note);
    return code;
}

/* ---- checking one ---- */

static bool take_key(struct bundle__seen *s, const struct prov__vkey *key, bool given)
{
    for (size_t i = 0; i < s->count; i++)
        if (prov__vkey_same(&s->at[i].key, key)) {
            s->at[i].given |= given;
            return true;
        }
    if (s->count == BUNDLE__WITNESSES)
        return false;
    s->at[s->count++] = (struct bundle__witness){.key = *key, .given = given, .size = -1};
    return true;
}

bool bundle__seen_begin(struct bundle__seen *s, const json_t *named, const char *given)
{
    size_t i;
    json_t *vkey;
    struct prov__vkey keys[BUNDLE__WITNESSES], key;
    int count = given ? prov__vkeys_read(PROV__COSIGNATURE, given, keys, BUNDLE__WITNESSES) : 0;
    for (int k = 0; k < count; k++)
        take_key(s, &keys[k], true);
    json_array_foreach((json_t *)named, i, vkey)
    {
        const char *text = json_string_value(vkey);
        if (!text || !prov__vkey_read_as(PROV__COSIGNATURE, text, &key) ||
            !take_key(s, &key, false))
            return false;
    }
    return named == NULL || json_is_array(named);
}

const char *bundle__seen_note(struct bundle__seen *s, const struct prov__checkpoint *c,
                              int64_t base)
{
    for (size_t i = 0; i < s->count; i++) {
        struct bundle__witness *w = &s->at[i];
        struct prov__cosignature by = {0};
        enum prov__signed is = prov__cosigned(c, &w->key, &by);
        if (is == PROV__FORGED)
            return w->key.name;
        if (is == PROV__SIGNED && base + c->head.size >= w->size) {
            w->size = base + c->head.size;
            w->at = by.at;
        }
    }
    return NULL;
}

json_t *bundle__seen_json(const struct bundle__seen *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->count; i++) {
        const struct bundle__witness *w = &s->at[i];
        char vkey[VAULT_LABEL], at[CLOCK_TEXT];
        if (w->size < 0)
            continue;
        json_t *one = json_object();
        prov__vkey_write(&w->key, vkey);
        clock_format(w->at * 1000, at);
        json_puts(one, "witness", w->key.name);
        json_puts(one, "key", vkey);
        json_puti(one, "size", w->size);
        json_puts(one, "at", at);
        json_put(one, "given", json_boolean(w->given));
        json_array_append_new(list, one);
    }
    return list;
}
