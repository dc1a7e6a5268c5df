/* mcp-console: arguments, then a subcommand or the console. */
#include "backend/backend.h"
#include "backend/base/conf.h"
#include "backend/bus/client.h"
#include "tui/app.h"
#include "tui/cli.h"
#include "tui/passphrase.h"
#include "tui/screen.h"
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char ADDRESS[] = "inproc://mcp-console";

struct arguments {
    const char *config, *state, *role, *level, *theme;
};

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: mcp-console [OPTION]... [SUBCOMMAND [ARGUMENT]...]\n"
        "Without a subcommand: the console. Options:\n"
        "  --config FILE   the configuration to read\n"
        "  --state DIR     where the log and the keys are kept\n"
        "  --role ROLE     operator, reviewer or demo: only to have fewer rights than configured\n"
        "  --level LEVEL   read, recommend or execute: only to have less than configured\n"
        "  --theme THEME   dark, light, high-contrast, mono, or a file of yours\n"
        "  --version       print the version\n"
        "  --help          print this\n"
        "Subcommands:\n%s"
        "Exit codes: 0 done, 1 failed, 2 usage, 3 refused by policy or role, 4 tampering found.\n",
        cli_help());
}

/* Returns -1 to go on, or the exit code. */
static int arguments_parse(int argc, char **argv, struct arguments *a)
{
    enum { OPT_CONFIG = 256, OPT_STATE, OPT_ROLE, OPT_LEVEL, OPT_THEME, OPT_VERSION, OPT_HELP };
    static const struct option options[] = {{"config", required_argument, NULL, OPT_CONFIG},
                                            {"state", required_argument, NULL, OPT_STATE},
                                            {"role", required_argument, NULL, OPT_ROLE},
                                            {"level", required_argument, NULL, OPT_LEVEL},
                                            {"theme", required_argument, NULL, OPT_THEME},
                                            {"version", no_argument, NULL, OPT_VERSION},
                                            {"help", no_argument, NULL, OPT_HELP},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
        switch (c) {
        case OPT_CONFIG:
            a->config = optarg;
            break;
        case OPT_STATE:
            a->state = optarg;
            break;
        case OPT_ROLE:
            if (bus_role_find(optarg) == BUS_NONE) {
                cli_complain("`%s` is no role: operator, reviewer or demo", optarg);
                return EXIT_USAGE;
            }
            a->role = optarg;
            break;
        case OPT_LEVEL:
            if (!bus_level_find(optarg, &(enum bus_level){BUS_READ})) {
                cli_complain("`%s` is no level: read, recommend or execute", optarg);
                return EXIT_USAGE;
            }
            a->level = optarg;
            break;
        case OPT_THEME:
            a->theme = optarg;
            break;
        case OPT_VERSION:
            puts("mcp-console " MCPC_VERSION);
            return cli_flush(EXIT_DONE);
        case OPT_HELP:
        case 'h':
            usage(stdout);
            return cli_flush(EXIT_DONE);
        default:
            cli_bad_option(c, argv);
            fputs("`mcp-console --help` lists what there is\n", stderr);
            return EXIT_USAGE;
        }
    }
    return -1;
}

static struct backend_options backend_options(const struct arguments *a)
{
    struct backend_options o = {.config = a->config,
                                .state = a->state,
                                .role = a->role,
                                .level = a->level,
                                .address = ADDRESS};
    return o;
}

/* ---- passphrases: asked for before curses and before the backend */

/* Takes the passphrase over into locked memory; p is wiped. */
static struct vault_pass *pass_take(struct tui__passphrase *p, struct error *e)
{
    struct vault_pass *pass = backend_pass_new(p->text, p->len, e);
    tui__passphrase_wipe(p);
    return pass;
}

static enum err pass_unlock(struct backend_options *o, struct error *e)
{
    enum { TRIES = 3 };
    struct tui__passphrase p = {.len = 0};
    enum err code = tui__passphrase_given("MCP_CONSOLE_PASSPHRASE", &p, e);
    bool asked = code == ERR_NOT_FOUND;
    for (int i = 0; i < (asked ? TRIES : 1); i++) {
        if (asked) {
            *e = (struct error){0};
            code = tui__passphrase_ask("Passphrase of the master key: ", false, &p, e);
        }
        if (code != ERR_OK)
            break;
        backend_pass_free(o->pass);
        o->pass = pass_take(&p, e);
        code = o->pass ? backend_unlock(o, o->pass, e) : e->code;
        if (code != ERR_PASSPHRASE)
            return code;
        if (asked && i + 1 < TRIES)
            fputs("It does not open the master key.\n", stderr);
    }
    tui__passphrase_wipe(&p);
    return code;
}

static enum err pass_new(const char *name, const char *prompt, struct vault_pass **out,
                         struct error *e)
{
    struct tui__passphrase p = {.len = 0};
    enum err code = tui__passphrase_given(name, &p, e);
    if (code == ERR_NOT_FOUND)
        code = tui__passphrase_ask(prompt, true, &p, e);
    if (code == ERR_OK)
        *out = pass_take(&p, e);
    tui__passphrase_wipe(&p);
    return *out ? ERR_OK : e->code;
}

/* What the master key needs; wants_new: a subcommand seals it by another passphrase. */
static enum err passphrases_get(struct backend_options *o, bool wants_new, struct error *e)
{
    enum backend_lock lock = backend_locked(o);
    enum err code = ERR_OK;
    if (lock == BACKEND_LOCKED)
        code = pass_unlock(o, e);
    else if (lock == BACKEND_UNMADE)
        code = pass_new("MCP_CONSOLE_PASSPHRASE", "A passphrase for the new master key: ", &o->pass,
                        e);
    if (code == ERR_OK && wants_new)
        code = pass_new("MCP_CONSOLE_NEW_PASSPHRASE", "The new passphrase: ", &o->new_pass, e);
    if (code != ERR_OK) {
        backend_pass_free(o->pass);
        backend_pass_free(o->new_pass);
    }
    return code;
}

/* ---- a subcommand */

/* For the handler below: a process has one set of signals. */
static struct busc *volatile interrupted_bus;
static volatile sig_atomic_t interrupted_by;

static void on_interrupt(int number)
{
    interrupted_by = number;
    if (interrupted_bus)
        busc_interrupt(interrupted_bus);
}

/* The first of these ends the subcommand in order; the second ends it at once. */
static void interrupts_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction sa;
        if (sigaction(numbers[i], NULL, &sa) || sa.sa_handler == SIG_IGN)
            continue; /* nohup, or a shell's background */
        memset(&sa, 0, sizeof(sa));
        sa.sa_handler = on_interrupt;
        sa.sa_flags = (int)SA_RESETHAND;
        sigaction(numbers[i], &sa, NULL);
    }
}

static bool token_good(void *arg, const char *given, size_t len)
{
    return backend_token_good(arg, given, len);
}

static struct conf *conf_read(const struct arguments *a, struct error *e)
{
    char *path = conf_find(a->config);
    struct conf *conf = conf_load(path, e);
    free(path);
    return conf;
}

/* cli NULL: of the open console. *token is the caller's. */
static enum err mcp_options(const struct cli *cli, const struct conf *conf, struct backend *backend,
                            struct server_options *o, struct backend_token **token, struct error *e)
{
    enum err code = cli_mcp_options(cli, conf, o, e);
    if (code == ERR_OK && o->listen && cli_mcp_token(conf)) {
        *token = backend_token_new(backend, cli_mcp_token(conf), e);
        o->token = token_good;
        o->token_arg = *token;
    }
    return e->code;
}

static int mcp_run(const struct cli *cli, const struct arguments *a, struct backend *backend,
                   struct busc *bus)
{
    struct error e = {0};
    struct server_options o = {0};
    struct backend_token *token = NULL;
    struct conf *conf = conf_read(a, &e);
    if (conf)
        mcp_options(cli, conf, backend, &o, &token, &e);
    int status = e.code ? cli_error(&e) : cli_mcp_run(bus, &o);
    backend_token_free(token);
    conf_free(conf);
    return status;
}

static void on_hangup(int number)
{
    (void)number;
    backend_reload(); // NOLINT(bugprone-signal-handler) ; it sets a flag
}

/* Beside a thread that still runs no exit handler may: libcrypto's takes its threads' memory away.
 */
static int ended(bool whole, int status)
{
    if (!whole) {
        fflush(NULL);
        _exit(status);
    }
    return status;
}

/* What needs no console: true when it was done. */
static bool run_alone(struct cli *cli, const struct arguments *a, int *status)
{
    static const struct cli_comparer WITH = {backend_comparer_new, backend_compare,
                                             backend_comparer_free};
    if (cli_wants_bundle(cli))
        *status = cli_bundle_run(cli, backend_bundle_verify);
    else if (cli_wants_compare(cli))
        *status = cli_compare_run(cli, &WITH);
    else if (cli_wants_scan(cli))
        *status = cli_scan_run(cli, backend_scan);
    else
        return cli_kill_file(cli, a->state, status);
    return true;
}

static int command_run(int argc, char **argv, const struct arguments *a)
{
    int status = EXIT_DONE;
    struct cli *cli = cli_parse(argc, argv, &status);
    if (!cli)
        return status;
    if (run_alone(cli, a, &status)) {
        cli_free(cli);
        return status;
    }
    struct error e = {0};
    struct backend_options o = backend_options(a);
    if (passphrases_get(&o, cli_wants_passphrase(cli), &e) != ERR_OK) {
        cli_free(cli);
        return cli_error(&e);
    }
    static struct cli_secret secret;
    if (cli_wants_secret(cli)) {
        if (cli_secret_read(cli, &secret, &e) != ERR_OK) {
            cli_secret_wipe(&secret);
            cli_free(cli);
            return cli_error(&e);
        }
        o.secret = secret.text;
        o.secret_len = secret.len;
    }
    signal(SIGPIPE, SIG_IGN);
    interrupts_catch();
    if (cli_serves(cli))
        signal(SIGHUP, on_hangup);
    struct backend *backend = backend_start(&o);
    if (o.secret)
        cli_secret_wipe(&secret);
    struct busc *bus = busc_new(ADDRESS, "mcp-console", a->role, &e);
    if (bus) {
        interrupted_bus = bus;
        if (interrupted_by) /* between the two lines before */
            busc_interrupt(bus);
        status = cli_wants_mcp(cli) ? mcp_run(cli, a, backend, bus) : cli_run(cli, bus);
        interrupted_bus = NULL;
        busc_free(bus);
    } else {
        status = cli_error(&e);
    }
    bool whole = backend_stop(backend);
    cli_free(cli);
    if (interrupted_by) { /* whoever waits for this process sees what ended it */
        signal(interrupted_by, SIG_DFL);
        raise(interrupted_by);
    }
    return ended(whole, status);
}

/* ---- agents, while the console is open: the server on a thread and a bus client of its own. What
 * keeps it from listening is told by the status and ends nothing else. */

struct agents {
    pthread_t thread;
    struct backend *backend;
    struct conf *conf;
    struct busc *bus; /* the thread's, but for busc_interrupt */
};

static enum err agents_serve(struct agents *a, struct server_options *o, struct error *e)
{
    struct server *s = server_new(o, a->bus, e);
    if (!s)
        return e->code;
    backend_served(a->backend, server_address(s), NULL);
    enum err code = server_run(s, e);
    server_free(s);
    if (code == ERR_OK)
        backend_served(a->backend, NULL, NULL);
    return code;
}

static void *agents_run(void *arg)
{
    struct agents *a = arg;
    struct error e = {0};
    struct server_options o = {0};
    struct backend_token *token = NULL;
    /* However long it takes to start; what follows then waits for nothing. */
    json_t *up = busc_wait(a->bus, WIRE_status_get, NULL, INT32_MAX, &e);
    json_decref(up);
    if (up && mcp_options(NULL, a->conf, a->backend, &o, &token, &e) == ERR_OK)
        agents_serve(a, &o, &e);
    if (e.code && !busc_interrupted(a->bus))
        backend_served(a->backend, NULL, &e);
    backend_token_free(token);
    return NULL;
}

static void agents_free(struct agents *a)
{
    busc_free(a->bus);
    conf_free(a->conf);
    free(a);
}

/* Takes conf over; its reader is for one thread at a time, so it was read before there was a
 * backend. NULL: it does not want agents, or they cannot be served. */
static struct agents *agents_start(const struct arguments *arguments, struct conf *conf,
                                   struct backend *backend)
{
    struct error e = {0};
    struct agents *a = xcalloc(1, sizeof(*a));
    a->backend = backend;
    a->conf = conf;
    if (cli_mcp_listens(conf))
        a->bus = busc_new(ADDRESS, "mcp-console mcp", arguments->role, &e);
    if (!a->bus) {
        if (e.code)
            backend_served(backend, NULL, &e);
        agents_free(a);
        return NULL;
    }
    /* The terminal's signals belong to the main thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&a->thread, NULL, agents_run, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    BUG_IF(failed);
    return a;
}

static void agents_stop(struct agents *a)
{
    if (!a)
        return;
    busc_interrupt(a->bus);
    pthread_join(a->thread, NULL);
    agents_free(a);
}

/* ---- the console */

static enum err fatal(void *arg, struct error *e)
{
    return backend_error(arg, e);
}

struct look { /* what the configuration says of the screen */
    struct tui__theme theme;
    struct tui__screen_options screen;
};

static enum err look_load(const struct arguments *a, const struct conf *conf, struct look *look,
                          struct error *e)
{
    const char *charset = conf_str(conf, "console", "", "charset");
    look->screen.charset = !strcmp(charset, "ascii")   ? CHARSET_ASCII
                           : !strcmp(charset, "utf-8") ? CHARSET_UTF8
                                                       : CHARSET_AUTO;
    look->screen.mouse = conf_flag(conf, "console", "", "mouse");
    return tui__theme_load(a->theme ? a->theme : conf_str(conf, "console", "", "theme"),
                           &look->theme, e);
}

/* The first frame is painted before the backend starts: the screen never waits for it. */
static int console_run(const struct arguments *a)
{
    struct look look = {0};
    struct error e = {0};
    struct backend_options o = backend_options(a);
    struct conf *conf = conf_read(a, &e);
    if (!conf || look_load(a, conf, &look, &e) || passphrases_get(&o, false, &e)) {
        conf_free(conf);
        return cli_error(&e);
    }
    if (tui__screen_start(&look.screen, &e)) {
        backend_pass_free(o.pass);
        conf_free(conf);
        return cli_error(&e);
    }
    struct tui__app_options app_options = {&look.theme, look.screen.mouse, backend_reload};
    struct tui__app *app = tui__app_new(&app_options);
    struct backend *backend = backend_start(&o);
    struct busc *bus = busc_new(ADDRESS, "mcp-console", a->role, &e);
    struct agents *agents = agents_start(a, conf, backend);
    if (bus)
        tui__app_run(app, bus, fatal, backend, &e);
    tui__app_free(app);
    tui__screen_stop(); /* the user has the terminal back while the backend ends */
    agents_stop(agents);
    bool whole = backend_stop(backend);
    return ended(whole, e.code ? cli_error(&e) : EXIT_DONE);
}

/* A standard stream that was closed gets a descriptor that answers nothing and takes nothing.
 * Otherwise the next file opened, the lock or the database, would be written to by printf. */
static void streams_hold(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            BUG("/dev/null cannot stand in for a closed stream");
}

/* Threads take turns in one heap instead of keeping one each: what one of them freed the others
 * use, and it takes a quarter of the memory of a long history. */
static void memory_start(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024); /* fixed: big pieces go back to the system when freed */
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    memory_start();
    streams_hold();
    tui__locale_start();
    int status = arguments_parse(argc, argv, &a);
    if (status >= 0)
        return status;
    return optind < argc ? command_run(argc - optind, argv + optind, &a) : console_run(&a);
}
