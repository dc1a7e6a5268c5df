/* The end of what was verified last: the file `verified` beside the database, so that the next
 * start can go on from there.
 *
 * Invariants
 * V1 The file says where a verification without problems ended, under a MAC of the master key: who
 * can write files cannot move it. What does not authenticate is no file. V2 Any problem takes it
 * away: the next start reads everything. */
#include "backend/base/text.h"
#include "backend/provenance/verify.h"

#include "backend/base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char purpose[] = "mcp-console verified";
enum { LONGEST = 512 };

static char *path_of(const struct prov *p)
{
    const char *path = store_path(p->store), *slash = strrchr(path, '/');
    return xasprintf("%.*sverified", slash ? (int)(slash + 1 - path) : 0, path);
}

static char *write_lines(struct prov *p, const struct prov__known *k)
{
    char root[2 * VAULT_HASH + 1], at[CLOCK_TEXT], mac_hex[2 * VAULT_HASH + 1];
    uint8_t mac[VAULT_HASH];
    text_hex(k->root, VAULT_HASH, root);
    clock_format(k->at, at);
    char *body = xasprintf("%s 1\nepoch %lld\nbase %lld\nsize %lld\nroot %s\nsince %s\n", purpose,
                           (long long)k->epoch, (long long)k->base, (long long)k->size, root, at);
    vault_mac(p->vault, purpose, body, strlen(body), mac);
    text_hex(mac, VAULT_HASH, mac_hex);
    char *text = xasprintf("%smac %s\n", body, mac_hex);
    free(body);
    return text;
}

static bool read_lines(const char *text, struct prov__known *out)
{
    char root[2 * VAULT_HASH + 1], at[CLOCK_TEXT];
    long long epoch, base, size;
    static const char form[] = "mcp-console verified 1\nepoch %18lld\nbase %18lld\nsize %18lld\n"
                               "root %64[0-9a-f]\nsince %29s\n";
    if (sscanf(text, form, &epoch, &base, &size, root, at) != 5)
        return false;
    *out = (struct prov__known){.epoch = epoch, .base = base, .size = size};
    return text_unhex(root, out->root, VAULT_HASH) == 0 && clock_parse(at, &out->at) == 0;
}

bool prov__remembered(struct prov *p, struct prov__known *out)
{
    char *path = path_of(p), text[LONGEST + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, LONGEST);
    if (fd >= 0)
        close(fd);
    free(path);
    if (n <= 0)
        return false;
    text[n] = '\0';
    if (!read_lines(text, out))
        return false;
    char *again = write_lines(p, out); /* V1: byte by byte, its MAC too */
    bool same = strlen(again) == (size_t)n && vault_equal(again, text, (size_t)n);
    free(again);
    return same && out->epoch == p->durable.epoch && out->base == p->durable.base;
}

void prov__remember(struct prov *p, const struct prov_verify *run)
{
    const struct verify__epoch *last = &run->found[run->found_count - 1];
    struct prov__known k = {.epoch = last->epoch,
                            .base = last->base,
                            .size = last->size,
                            .at = run->from == 0 ? clock_real_ms() : run->known_at};
    memcpy(k.root, last->root, VAULT_HASH);
    if (k.epoch != p->durable.epoch || k.size == 0)
        return;
    char *path = path_of(p), *fresh = xasprintf("%s.new", path), *text = write_lines(p, &k);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t len = strlen(text);
    /* If it cannot be written, the next start reads more. */
    if (fd >= 0 && write(fd, text, len) == (ssize_t)len && rename(fresh, path) == 0)
        errno = 0;
    if (fd >= 0)
        close(fd);
    free(text);
    free(fresh);
    free(path);
}

void prov__remember_forget(struct prov *p)
{
    char *path = path_of(p);
    unlink(path);
    free(path);
}

void verify__from_known(struct prov_verify *run, const struct prov__known *known)
{
    uint8_t root[VAULT_HASH];
    struct error e = {0};
    int64_t end = known->base + known->size;
    if (end > run->size) {
        verify__add(
            &run->problems, run->size, "rollback",
            "%lld entries were verified here, there are %lld: the log is an older copy, or its "
            "end was cut off",
            (long long)end, (long long)run->size);
        verify__until(&run->problems, end - 1);
    } else if (prov__root_at(prov__stored_node, run->prov->tree, known->size, root, &e) != ERR_OK ||
               memcmp(root, known->root, VAULT_HASH) != 0) {
        verify__add(&run->problems, end - 1, "verified",
                    "the first %lld entries of this epoch are not those that were verified here",
                    (long long)known->size);
    }
    run->mode = "start";
    run->known_at = known->at;
    run->known_from = end;
}
