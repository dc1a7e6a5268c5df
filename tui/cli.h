/* Subcommands: the console without a screen. Each is a client of the bus like the panes.
 *
 * Exit codes: 0 done, 1 failed, 2 usage, 3 refused by policy or role, 4 tampering found. */
#ifndef TUI_CLI_H
#define TUI_CLI_H

#include "backend/base/conf.h"
#include "backend/bus/client.h"
#include "server/server.h"
#include <stdbool.h>

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_TAMPERED };

struct cli; /* a parsed subcommand */
/* argv[0] is the subcommand. NULL when there is nothing to run: *status is the exit code then, and
 * what is wrong (or the help asked for) was printed. argv must outlive the result. */
struct cli *cli_parse(int argc, char **argv, int *status);
/* Runs it over the bus; returns the exit code. */
int cli_run(struct cli *c, struct busc *bus);
/* `evidence verify --bundle` needs no console: true for it, and then cli_bundle_run is to be called
 * instead of cli_run. */
bool cli_wants_bundle(const struct cli *c);
typedef json_t *cli_bundle_verify(const void *bytes, size_t len, const char *key, const char *notes,
                                  const char *witnesses);
/* `scan` needs none either: it answers each line of a file by the function. */
bool cli_wants_scan(const struct cli *c);
typedef json_t *cli_scan(const char *text, size_t len);
int cli_scan_run(struct cli *c, cli_scan *scan);
/* `kill on` and, while the switch is on, `kill status` need no console either: true when it was
 * done, *status set. state: --state, or NULL. */
bool cli_kill_file(struct cli *c, const char *state, int *status);
int cli_bundle_run(struct cli *c, cli_bundle_verify *verify);
/* `compare` needs no console either: true for it, and then cli_compare_run is to be called. */
bool cli_wants_compare(const struct cli *c);
struct backend_comparer;
struct cli_comparer { /* as backend.h has them */
    struct backend_comparer *(*begin)(void);
    json_t *(*compare)(struct backend_comparer *c, const char *a, size_t a_len, const char *b,
                       size_t b_len);
    void (*end)(struct backend_comparer *c);
};
int cli_compare_run(struct cli *c, const struct cli_comparer *with);
/* `mcp` serves until its peer goes; the caller has the configuration and the token: true for it,
 * and then these are to be called instead of cli_run. */
bool cli_wants_mcp(const struct cli *c);
/* The open console is to listen for agents: [mcp_server] listen is set, not only its default. */
bool cli_mcp_listens(const struct conf *conf);
/* Fills what its options and [mcp_server] say; strings are theirs. c NULL: of the open console.
 * CONFIG. */
enum err cli_mcp_options(const struct cli *c, const struct conf *conf, struct server_options *o,
                         struct error *e);
/* The reference of the token that peers are to show; NULL: none. */
const char *cli_mcp_token(const struct conf *conf);
int cli_mcp_run(struct busc *bus, struct server_options *o);
void cli_free(struct cli *c);
/* It seals the master key by a passphrase that is to be asked for: before it runs. */
bool cli_wants_passphrase(const struct cli *c);
/* It runs until it is stopped, as a service: SIGHUP means that its configuration has changed. */
bool cli_serves(const struct cli *c);
/* It takes a secret's value: before it runs, because that goes over no bus. */
bool cli_wants_secret(const struct cli *c);
enum { CLI_SECRET_MAX = 65536 };
struct cli_secret {
    char text[CLI_SECRET_MAX + 2];
    size_t len;
};
/* From the terminal without echo, or all of standard input but a new line at its end. INVALID,
 * CANCELLED, IO. Wiped by cli_secret_wipe, also after an error. */
enum err cli_secret_read(const struct cli *c, struct cli_secret *out, struct error *e);
void cli_secret_wipe(struct cli_secret *s);
/* What --help prints about subcommands, a line each. */
const char *cli_help(void);
/* Prints an error to stderr: what, where, what to do; returns the exit code for it. Foreign text is
 * cleaned. */
int cli_error(const struct error *e);
/* Prints "mcp-console: " and a line to stderr; what comes from outside in it is cleaned. */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says what is wrong with an option at which getopt_long answered c (`?` or `:`). */
void cli_bad_option(int c, char **argv);
/* Writes out what was printed; EXIT_FAILED, said on stderr, if any of it could not be written. */
int cli_flush(int status);

#endif
