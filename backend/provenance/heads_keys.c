/* Verification of the keys that sign checkpoints, on a worker. */
#include "backend/provenance/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add(struct verify__heads *h, int64_t seq, const char *what)
{
    verify__add(&h->problems, seq, "key", "%s", what);
}

/* ---- the entries ---- */

struct rotation { /* an entry key.rotate */
    struct verify__heads *heads;
    struct store_db *db;
    struct buf ad, plain;
};

/* What an entry says of the signing key; NULL if it says nothing, or its payload stays sealed: what
 * is wrong with that is told where entries are checked. The caller owns. */
static json_t *read_rotation(struct rotation *r, const struct store_row *row, int64_t *seq)
{
    struct prov__header header;
    const char *problem;
    size_t len, sealed_len;
    const char *bytes = store_blob(row, 0, &len);
    const void *sealed = store_blob(row, 1, &sealed_len);
    if (!bytes || prov__entry_read(bytes, len, &header) != NULL ||
        !prov__text_is(header.type, "key.rotate"))
        return NULL;
    *seq = header.seq;
    buf_clear(&r->ad);
    if (prov__payload(&r->heads->keys, r->db, &header, (struct prov__text){bytes, len}, sealed,
                      sealed_len, &r->ad, &r->plain, &problem, NULL) != ERR_OK)
        return NULL;
    return json_read(r->plain.data, r->plain.len, PROV__MAX_PAYLOAD, 8, NULL);
}

static bool check_entry(void *arg, const struct store_row *row)
{
    struct rotation *r = arg;
    struct verify__heads *h = r->heads;
    int64_t seq = -1;
    json_t *payload = read_rotation(r, row, &seq);
    const char *note = json_str(payload, "note", NULL);
    if (payload && strcmp(json_str(payload, "what", ""), "signing") == 0 && note) {
        bool found = false;
        for (size_t i = 0; i < h->trust.count; i++)
            found |= h->trust.at[i].entry == seq && strcmp(h->trust.at[i].note, note) == 0;
        if (!found)
            add(h, seq, "an entry names a signing key that is not in the table of trusted keys");
    }
    json_decref(payload);
    return !__atomic_load_n(h->cancelled, __ATOMIC_RELAXED);
}

static void check_entries(struct verify__heads *h, struct store_db *db)
{
    struct rotation r = {.heads = h, .db = db};
    store_query(db, &h->error, check_entry, &r,
                "SELECT e.entry, p.sealed FROM entries e LEFT JOIN payloads p USING(seq)"
                " WHERE e.type = 'key.rotate' ORDER BY seq",
                "");
    buf_release(&r.ad);
    buf_release(&r.plain);
    prov__keys_release(&h->keys);
}

static bool take_type(void *arg, const struct store_row *row)
{
    struct prov__header header;
    size_t len;
    const char *bytes = store_blob(row, 0, &len);
    *(bool *)arg = bytes && prov__entry_read(bytes, len, &header) == NULL &&
                   prov__text_is(header.type, "key.rotate");
    return false;
}

/* Each row of the table has its entry: that what is in it is the row's note was seen above. */
static void check_rows(struct verify__heads *h, struct store_db *db)
{
    for (size_t i = 1; i < h->trust.count; i++) {
        bool is = false;
        store_query(db, &h->error, take_type, &is, "SELECT entry FROM entries WHERE seq = ?", "i",
                    h->trust.at[i].entry);
        if (!is && h->error.code == ERR_OK)
            add(h, h->trust.at[i].entry, "a trusted key names an entry that is no key.rotate");
    }
}

/* ---- the files ---- */

/* The line that a file begins with is the present key's, or that of a later one: it may have been
 * replaced since this verification began. */
static bool names_key(struct verify__heads *h, const char *name)
{
    char *path = xasprintf("%s/keys/%s", h->dir, name), line[VAULT_LABEL] = "";
    struct prov__vkey key;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    bool none = n < 0 && errno == ENOENT; /* missed at the next start; nothing false stands there */
    bool odd = n < 0 && (errno == ELOOP || errno == EISDIR || errno == ENXIO || errno == ENOTDIR);
    if (n < 0 && !none && !odd)
        err_set_errno(&h->error, "cannot read", path);
    if (fd >= 0)
        close(fd);
    free(path);
    if (n < 0 && !odd)
        return true;
    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (!prov__vkey_read(line, &key))
        return false;
    bool present = prov__vkey_same(&key, &h->key);
    for (size_t i = h->trust.count; i > 0 && !present; i--) {
        if (prov__vkey_same(&h->trust.at[i - 1].key, &key))
            return true;
        if (prov__vkey_same(&h->trust.at[i - 1].key, &h->key))
            return false;
    }
    return present;
}

void verify__heads_keys(struct verify__heads *h, struct store_db *db)
{
    if (prov__trust_load(&h->trust, db, &h->error) != ERR_OK)
        return;
    if (*h->trust.problem)
        add(h, -1, h->trust.problem);
    else if (h->trust.count && !prov__trust_has(&h->trust, &h->key))
        add(h, -1, "checkpoint.key is not one of the keys that the log names");
    if (h->trust.count == 0) /* its row is being written */
        prov__trust_add(&h->trust, 0, -1, &h->key, NULL);
    check_rows(h, db);
    if (h->error.code == ERR_OK && !h->chain)
        check_entries(h, db);
    if (!names_key(h, "checkpoint.key"))
        add(h, -1, "checkpoint.key is not the key that this console holds");
    if (!names_key(h, "checkpoint.pub"))
        add(h, -1, "checkpoint.pub is not the key that this console holds");
    struct error e = {0};
    enum err code = *h->trust.problem ? ERR_OK : prov__trusted_check(&h->trust, h->dir, &e);
    if (code == ERR_TAMPERED)
        add(h, -1, e.detail);
    else if (code != ERR_OK)
        h->error = e;
}
