/* `mcp-console vault list|set|remove|rotate`. A value comes from the terminal without echo or from
 * standard input, never from an argument: those stand in the list of processes. */
#include "tui/cli_internal.h"
#include "tui/passphrase.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

const char *cli__vault_words(struct cli *c, int argc, char **argv)
{
    c->action = argc ? argv[0] : "";
    bool named = strcmp(c->action, "set") == 0 || strcmp(c->action, "remove") == 0;
    if (!named && strcmp(c->action, "list") != 0 && strcmp(c->action, "rotate") != 0)
        return "the actions are list, set, remove and rotate";
    if (c->what || c->seal)
        return "--what and --seal are for keys";
    if (named && argc > 2)
        return "it takes a name; the value is typed, or comes from standard input";
    if (argc != (named ? 2 : 1))
        return named ? "it takes the name of a secret" : "too many words";
    c->text = named ? argv[1] : "";
    return NULL;
}

bool cli_wants_secret(const struct cli *c)
{
    return c->command->run == cli__vault && strcmp(c->action, "set") == 0;
}

static enum err from_stdin(struct cli_secret *out, struct error *e)
{
    ssize_t n = 1;
    out->len = 0;
    while (n > 0 && out->len < sizeof out->text) {
        n = read(STDIN_FILENO, out->text + out->len, sizeof out->text - out->len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            out->len += (size_t)n;
    }
    if (n < 0)
        return err_set_errno(e, "cannot read", "standard input");
    if (out->len && out->text[out->len - 1] == '\n')
        out->len--;
    return out->len && out->len <= CLI_SECRET_MAX
               ? ERR_OK
               : err_set(e, ERR_INVALID, "a secret is a text of 1 to %d bytes", CLI_SECRET_MAX);
}

enum err cli_secret_read(const struct cli *c, struct cli_secret *out, struct error *e)
{
    mlock(out, sizeof *out); /* if it cannot be, it is still wiped soon */
    if (!isatty(STDIN_FILENO))
        return from_stdin(out, e);
    struct tui__passphrase typed;
    char *prompt = xasprintf("The value of %s: ", c->text);
    mlock(&typed, sizeof typed);
    enum err code = tui__passphrase_ask(prompt, false, &typed, e);
    if (code == ERR_OK) {
        memcpy(out->text, typed.text, typed.len);
        out->len = typed.len;
    }
    tui__passphrase_wipe(&typed);
    free(prompt);
    return code;
}

void cli_secret_wipe(struct cli_secret *s)
{
    explicit_bzero(s, sizeof *s);
    munlock(s, sizeof *s);
}

static int list(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_vault_list, NULL, &status), *row;
    size_t i;
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        json_array_foreach(json_object_get(answer, "secrets"), i, row)
        {
            char when[32];
            time_t at = (time_t)(json_int(row, "set_at", 0) / 1000);
            struct tm tm;
            gmtime_r(&at, &tm);
            strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
            cli__cell(json_str(row, "name", ""), 32);
            printf(" set %s\n", when);
        }
    }
    json_decref(answer);
    return status;
}

static int rotate(struct cli *c, struct busc *bus)
{
    enum { ROTATE_MS = 24 * 3600 * 1000 };
    struct error e = {0};
    json_t *params = json_object();
    json_puts(params, "what", "master");
    json_t *answer = busc_wait(bus, WIRE_keys_rotate, params, ROTATE_MS, &e);
    if (!answer)
        return cli_error(&e);
    const json_t *master = json_object_get(answer, "master");
    if (c->json)
        cli__print_json(answer);
    else
        printf("master key %s in the place of %s; secrets are sealed anew\n",
               json_str(master, "new", ""), json_str(master, "old", ""));
    json_decref(answer);
    return EXIT_DONE;
}

int cli__vault(struct cli *c, struct busc *bus)
{
    if (strcmp(c->action, "list") == 0)
        return list(c, bus);
    if (strcmp(c->action, "rotate") == 0)
        return rotate(c, bus);
    int status = EXIT_DONE;
    bool set = strcmp(c->action, "set") == 0;
    json_t *params = json_object();
    json_puts(params, "name", c->text);
    json_t *answer = cli__call(bus, set ? WIRE_vault_set : WIRE_vault_remove, params, &status);
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        cli__put(c->text, false);
        printf("%s\n",
               set ? " is set; the configuration names it with secret: in front" : " is removed");
    }
    json_decref(answer);
    return status;
}
