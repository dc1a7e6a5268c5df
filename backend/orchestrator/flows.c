/* Which flows there are: the built-in ones, and those of the configuration's directory. */
#include "backend/base/embed.h"
#include "backend/base/hash.h"
#include "backend/orchestrator/flow.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *name_of(const char *path)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    return xstrndup(base, strlen(base) - strlen(".json"));
}

static void take(struct flows *all, const char *path, const char *text, size_t len, bool own,
                 const struct flow_known *known, const struct flows *before)
{
    struct error why = {0};
    struct flow *f = flow_read(path, text, len, known, &why), *former = NULL;
    if (f) {
        f->own = own;
        all->at[all->count++] = f;
        return;
    }
    for (size_t i = 0; own && before && i < before->count; i++)
        if (before->at[i]->own && strcmp(before->at[i]->file, path) == 0)
            former = before->at[i];
    if (former)
        all->at[all->count++] = flow_hold(former);
    if (all->wrong_count < FLOW_FILES) {
        all->wrong_name[all->wrong_count] = name_of(path);
        all->kept[all->wrong_count] = former;
        all->wrong[all->wrong_count++] = why;
    }
}

static enum err take_own(struct flows *all, const char *dir, const char *name,
                         const struct flow_known *known, const struct flows *before,
                         struct error *e)
{
    char *path = xasprintf("%s/%s", dir, name), *text = xcalloc(1, FLOW_BYTES + 2);
    FILE *f = fopen(path, "re");
    size_t len = f ? fread(text, 1, FLOW_BYTES + 1, f) : 0;
    enum err code = !f || ferror(f) ? err_set_errno(e, "cannot read", path) : ERR_OK;
    if (f)
        fclose(f);
    if (code == ERR_OK)
        take(all, path, text, len, true, known, before);
    free(text);
    free(path);
    return code;
}

static int is_flow(const struct dirent *d)
{
    size_t len = strlen(d->d_name);
    return len > 5 && *d->d_name != '.' && strcmp(d->d_name + len - 5, ".json") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool listed(struct dirent *const *names, int n, const char *path)
{
    const char *base = strrchr(path, '/');
    for (int i = 0; base && i < n; i++)
        if (strcmp(names[i]->d_name, base + 1) == 0)
            return true;
    return false;
}

struct flows *flows_load(const char *dir, const struct flow_known *known,
                         const struct flows *before, struct error *e)
{
    struct flows *all = xcalloc(1, sizeof *all);
    struct dirent **names = NULL;
    int n = dir ? scandir(dir, &names, is_flow, by_name) : 0;
    enum err code = ERR_OK;
    size_t builtin = 0;
    for (const struct embed_file *f = embed_flows; f->name; f++) {
        builtin++;
        if (!listed(names, n, f->name))
            take(all, f->name, f->data, f->size, false, known, NULL);
    }
    if (n < 0 && errno != ENOENT && errno != ENOTDIR)
        code = err_set_errno(e, "cannot read", dir);
    else if (n > 0 && (size_t)n + builtin > FLOW_FILES)
        code = err_set(e, ERR_CONFIG, "%s: more than %zu flows", dir, FLOW_FILES - builtin);
    for (int i = 0; i < n && code == ERR_OK; i++)
        code = take_own(all, dir, names[i]->d_name, known, before, e);
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    if (code == ERR_OK)
        return all;
    flows_free(all);
    return NULL;
}

uint64_t flows_stamp(const char *dir)
{
    struct dirent **names = NULL;
    int n = scandir(dir, &names, is_flow, by_name);
    uint64_t sum = n > 0 ? HASH_START : 0;
    for (int i = 0; i < n; i++) {
        char *path = xasprintf("%s/%s", dir, names[i]->d_name);
        struct stat st = {.st_size = -1};
        if (stat(path, &st) != 0)
            st.st_size = -1;
        sum = hash_bytes(sum, path, strlen(path));
        sum = hash_bytes(sum, &st.st_size, sizeof st.st_size);
        sum = hash_bytes(sum, &st.st_mtim, sizeof st.st_mtim);
        sum = hash_bytes(sum, &st.st_ino, sizeof st.st_ino);
        free(path);
        free(names[i]);
    }
    free(names);
    return sum;
}

static void add_changed(const struct flows *a, const struct flows *b, bool also_other, json_t *out)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct flow *f = a->at[i];
        const struct flow *other = flows_find(b, f->name, NULL);
        if (other ? also_other && !json_equal(other->doc, f->doc) : true)
            json_array_append_new(out, json_string(f->name));
    }
}

json_t *flows_changed(const struct flows *a, const struct flows *b)
{
    json_t *names = json_array();
    add_changed(a, b, true, names);
    add_changed(b, a, false, names);
    return names;
}

void flows_free(struct flows *f)
{
    for (size_t i = 0; f && i < f->count; i++)
        flow_free(f->at[i]);
    for (size_t i = 0; f && i < f->wrong_count; i++)
        free(f->wrong_name[i]);
    free(f);
}

const struct flow *flows_find(const struct flows *f, const char *name, struct error *e)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->at[i]->name, name) == 0)
            return f->at[i];
    for (size_t i = 0; i < f->wrong_count; i++) {
        if (strcmp(f->wrong_name[i], name) == 0) {
            err_set(e, ERR_CONFIG, "%s", f->wrong[i].detail);
            return NULL;
        }
    }
    err_set(e, ERR_NOT_FOUND, "there is no flow \"%.64s\"", name);
    return NULL;
}
