/* `mcp-console keys list|rotate|verify`. */
#include "tui/cli_internal.h"
#include <string.h>

enum { ROTATE_MS = 24 * 3600 * 1000 };

bool cli__keys_words(struct cli *c, int argc, char **argv, const char **problem)
{
    static const char *const WHATS[] = {"master", "signing", "all"};
    static const char *const SEALS[] = {"file", "passphrase", "systemd-creds"};
    bool what = !c->what, seal = !c->seal;
    c->action = argc ? argv[0] : "";
    for (size_t i = 0; i < 3; i++) {
        what |= c->what && strcmp(c->what, WHATS[i]) == 0;
        seal |= c->seal && strcmp(c->seal, SEALS[i]) == 0;
    }
    bool rotate = strcmp(c->action, "rotate") == 0;
    if (argc != 1 ||
        (!rotate && strcmp(c->action, "list") != 0 && strcmp(c->action, "verify") != 0))
        *problem = "the actions are list, rotate and verify";
    else if (!rotate && (c->what || c->seal))
        *problem = "--what and --seal are for rotate";
    else if (!what)
        *problem = "--what is master, signing or all";
    else if (!seal)
        *problem = "--seal is file, passphrase or systemd-creds";
    else if (c->seal && c->what && strcmp(c->what, "signing") == 0)
        *problem = "--seal is of the master key";
    else
        return true;
    return false;
}

bool cli_wants_passphrase(const struct cli *c)
{
    return c->seal && strcmp(c->seal, "passphrase") == 0;
}

static int list(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_keys_list, NULL, &status), *row;
    size_t i;
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        printf("%-8s %-17s %-8s %-14s %s\n", "KIND", "ID", "STATE", "SEAL", "RANGE, USE");
        json_array_foreach(json_object_get(answer, "keys"), i, row)
        {
            bool master = strcmp(json_str(row, "kind", ""), "master") == 0;
            cli__cell(json_str(row, "kind", ""), 9);
            cli__cell(json_str(row, "id", ""), 18);
            cli__cell(json_str(row, "state", ""), 9);
            cli__cell(json_str(row, "seal", ""), 15);
            if (master && json_object_get(row, "data_keys"))
                printf("since %s; wraps %lld data keys, %lld projections, %lld signing keys",
                       json_str(row, "since", ""), (long long)json_int(row, "data_keys", 0),
                       (long long)json_int(row, "projections", 0),
                       (long long)json_int(row, "signing_keys", 0));
            else if (master)
                printf("%s to %s", json_str(row, "since", ""), json_str(row, "until", ""));
            else if (json_int(row, "last", -1) < 0)
                printf("checkpoints over more than %lld entries",
                       (long long)json_int(row, "first", 0));
            else
                printf("checkpoints over more than %lld entries, up to %lld",
                       (long long)json_int(row, "first", 0), (long long)json_int(row, "last", 0));
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

static int rotate(struct cli *c, struct busc *bus)
{
    struct error e = {0};
    json_t *params = json_object();
    if (c->what)
        json_puts(params, "what", c->what);
    if (c->seal)
        json_puts(params, "seal", c->seal);
    json_t *answer = busc_wait(bus, WIRE_keys_rotate, params, ROTATE_MS, &e);
    if (!answer)
        return cli_error(&e);
    const json_t *master = json_object_get(answer, "master");
    const json_t *signing = json_object_get(answer, "signing");
    if (c->json) {
        cli__print_json(answer);
    } else {
        if (master)
            printf(
                "master key %s in the place of %s, seal %s: %lld data keys, %lld projections and "
                "%lld signing keys wrapped anew and opened; the old key is destroyed\n",
                json_str(master, "new", ""), json_str(master, "old", ""),
                json_str(master, "seal", ""), (long long)json_int(master, "data_keys", 0),
                (long long)json_int(master, "projections", 0),
                (long long)json_int(master, "signing_keys", 0));
        if (signing)
            printf("signing key %s\n     follows %s\n     for more than %lld entries; a checkpoint "
                   "over %lld is signed by both; the old key is destroyed\n",
                   json_str(signing, "new", ""), json_str(signing, "old", ""),
                   (long long)json_int(signing, "first", 0),
                   (long long)json_int(signing, "size", 0));
    }
    json_decref(answer);
    return EXIT_DONE;
}

static int verify(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_keys_verify, NULL, &status), *row;
    size_t i;
    if (!answer)
        return status;
    status = json_flag(answer, "tampered", false) ? EXIT_TAMPERED
             : json_flag(answer, "ok", false)     ? EXIT_DONE
                                                  : EXIT_FAILED;
    if (c->json) {
        cli__print_json(answer);
    } else {
        json_array_foreach(json_object_get(answer, "checks"), i, row)
        {
            cli__cell(json_flag(row, "ok", false) ? "ok" : "fail", 6);
            cli__cell(json_str(row, "name", ""), 16);
            cli__put(json_str(row, "text", ""), false);
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

int cli__keys(struct cli *c, struct busc *bus)
{
    if (strcmp(c->action, "list") == 0)
        return list(c, bus);
    return strcmp(c->action, "rotate") == 0 ? rotate(c, bus) : verify(c, bus);
}
