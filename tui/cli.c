/* Subcommands: arguments, printing. */
#include "tui/cli_internal.h"
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALL_MS = 30000, SETTLE_MS = 5000 };

/* ---- printing */

/* JSON text with everything that could act on a terminal as \uXXXX (RFC 8259, section 7). Such
 * characters stand in strings only, but for the line ends, which stay. */
static void put_escaped(const char *text, FILE *out)
{
    size_t len = strlen(text), from = 0;
    for (size_t at = 0; at < len;) {
        uint32_t cp;
        size_t n = text_decode(text + at, len - at, &cp);
        if (cp != '\n' && !(cp & TEXT_BAD) && text_is_hidden(cp)) {
            fwrite(text + from, 1, at - from, out);
            if (cp < 0x10000)
                fprintf(out, "\\u%04X", (unsigned)cp);
            else
                fprintf(out, "\\u%04X\\u%04X", (unsigned)(0xd7c0 + (cp >> 10)),
                        (unsigned)(0xdc00 | (cp & 0x3ff)));
            from = at + n;
        }
        at += n;
    }
    fwrite(text + from, 1, len - from, out);
}

static void print_json(const json_t *value, size_t flags)
{
    flags |= JSON_REAL_PRECISION(6) | JSON_ENCODE_ANY;
    char *text = json_dumps(value, isatty(STDOUT_FILENO) ? flags | JSON_ENSURE_ASCII : flags);
    BUG_IF(!text);
    put_escaped(text, stdout);
    putchar('\n');
    free(text);
}

void cli__print_json(const json_t *value)
{
    print_json(value, JSON_INDENT(2));
}

void cli__print_json_line(const json_t *value)
{
    print_json(value, JSON_COMPACT);
}

/* A terminal that does not read UTF-8 would take the bytes 80..9F of its sequences for C1. */
static int flags_for(int fd)
{
    return isatty(fd) && strcmp(nl_langinfo(CODESET), "UTF-8") != 0 ? TEXT_ASCII : 0;
}

bool cli__ascii(void)
{
    return flags_for(STDOUT_FILENO) & TEXT_ASCII;
}

void cli__put(const char *text, bool keep_lines)
{
    char *clean = text_cleaned(text, flags_for(STDOUT_FILENO) | (keep_lines ? 0 : TEXT_ONE_LINE));
    fputs(clean, stdout);
    free(clean);
}

void cli__cell(const char *text, int width)
{
    int room = width < 0 ? -width : width, used;
    char *clean = text_cleaned(text, flags_for(STDOUT_FILENO) | TEXT_ONE_LINE);
    size_t len = strlen(clean), fits = text_fit(clean, len, room, &used);
    bool cut = fits < len;
    if (cut)
        fits = text_fit(clean, len, room - 1, &used);
    used += cut;
    if (width < 0)
        printf("%*s", room - used, "");
    printf("%.*s%s", (int)fits, clean, cut ? "~" : "");
    if (width > 0)
        printf("%*s", room - used, "");
    free(clean);
}

int cli_error(const struct error *e)
{
    cli_complain("%s%s%s", err_text(e->code), *e->detail ? ": " : "", e->detail);
    if (*err_hint(e->code))
        fprintf(stderr, "  what to do: %s\n", err_hint(e->code));
    switch (e->code) {
    case ERR_DENIED:
        return EXIT_REFUSED;
    case ERR_TAMPERED:
        return EXIT_TAMPERED;
    default:
        return EXIT_FAILED;
    }
}

void cli_complain(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    BUG_IF(vasprintf(&text, format, args) < 0);
    va_end(args);
    char *clean = text_cleaned(text, flags_for(STDERR_FILENO) | TEXT_ONE_LINE);
    fprintf(stderr, "mcp-console: %s\n", clean);
    free(clean);
    free(text);
}

void cli_bad_option(int c, char **argv)
{
    const char *what = c == ':' ? "a value is missing behind" : "there is no option";
    if (c == '?' && optopt > ' ' && optopt < 127)
        cli_complain("%s `-%c`", what, optopt);
    else
        cli_complain("%s `%s`", what, argv[optind - 1]);
}

int cli_flush(int status)
{
    /* A part may have failed long ago: then the last flush has nothing to do and succeeds. */
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    cli_complain("writing the answer: %s", strerror(errno));
    return status == EXIT_DONE ? EXIT_FAILED : status;
}

json_t *cli__call(struct busc *bus, enum wire_method m, json_t *params, int *status)
{
    struct error e = {0};
    json_t *result = busc_wait(bus, m, params, CALL_MS, &e);
    if (!result)
        *status = cli_error(&e);
    return result;
}

/* ---- connectors */

void cli__wait_settled(struct busc *bus, uint64_t limit_ms)
{
    uint64_t until = clock_mono_ms() + (limit_ms ? limit_ms : SETTLE_MS);
    while (clock_mono_ms() < until) {
        json_t *answer = busc_wait(bus, WIRE_connectors_settled, NULL, CALL_MS, NULL);
        bool settled = !answer || json_flag(answer, "settled", true);
        json_decref(answer);
        if (settled)
            return;
        usleep(20000);
    }
}

/* ---- arguments */

static const struct cli_command COMMANDS[] = {
    {"ask",
     "ask [--json] [--timeout SECONDS] [--conversation ID] [--flow NAME] [--models A,B] "
     "[--model-a NAME --model-b NAME] [--prompt-a WORDS] [--prompt-b WORDS] [--exchanges N] TEXT",
     "ask the copilot; - or a pipe reads the text", cli__ask},
    {"conversations",
     "conversations list|show ID|export ID|release TRACE [--json] [--text TEXT] [--limit N] "
     "[--format markdown|json] [-o FILE] [--force]",
     "conversations: list, search, show, export", cli__conversations},
    {"connectors",
     "connectors list|check|tools|call|restart|enable|disable|drift|trust|login|logout [--json] "
     "[--timeout SECONDS] [NAME "
     "[TOOL [JSON]]]",
     "connectors, their health and tools", cli__connectors},
    {"models", "models list|check NAME|available NAME [--json]",
     "models, whether their servers are well, and what those have", cli__models},
    {"flows", "flows list|show NAME|check FILE [--json] [--dot]",
     "the ways in which questions can be answered", cli__flows},
    {"compare", "compare [--json] FILE|-", "what pairs of texts claim: agree or contradict",
     cli__compare},
    {"cost", "cost [--json] [--days N]", "what models cost, and the budgets", cli__cost},
    {"eval",
     "eval SET [--variants A,B] [--models M+N] [--json] [--missed] [--baseline FILE] "
     "[--save-baseline] [--fail-below N] [--parallel N] [--seed N] [--timeout SECONDS] | "
     "eval --list|--show RUN [--json]",
     "golden sets: ways to answer side by side, scored", cli__eval},
    {"score", "score [--json]", "the compliance scorecard", cli__score},
    {"evidence", "evidence list|show|verify|report|checkpoint|proof|export|lineage [--json] ...",
     "the log: list, show SEQ, verify, report, checkpoint, proof SEQ, export, lineage ID",
     cli__evidence},
    {"retention",
     "retention status|run|erase|hold|holds|release|acts [--json] [--subject TEXT|--trace ID|"
     "--session ID|--range A-B|--all] [--reason TEXT] [--basis TEXT] [--dry-run] [--yes] "
     "[--confirm-clock] [ID]",
     "how long payloads are kept; erase, hold, acts of destruction", cli__retention},
    {"plans",
     "plans list|show ID|statement ID|propose FILE|approve ID|reject ID|run ID|stop ID|"
     "resolve ID verify|done|not_done|undo|close [--json] [--reason TEXT] [--name TEXT] "
     "[--person NAME --signature BASE64] [--step N]",
     "changes: propose, approve, run, stop", cli__plans},
    {"kill", "kill on|off|status [--json] [--reason TEXT]",
     "stop everything that acts, or lift that", cli__kill},
    {"witness", "witness list|logs|key|serve|cosign|request [--json] ...",
     "cosignatures: from witnesses of this log, and for other logs", cli__witness},
    {"keys",
     "keys list|rotate|verify [--json] [--what master|signing|all] [--seal "
     "file|passphrase|systemd-creds]",
     "keys: list, rotate, verify", cli__keys},
    {"vault", "vault list|set NAME|remove NAME|rotate [--json]",
     "secrets that the configuration names: list, set, remove, rotate", cli__vault},
    {"mcp", "mcp [--http] [--listen ADDRESS:PORT] [--remote]",
     "serve the console's tools to other agents (MCP)", cli__mcp},
    {"learning", "learning show|accept KIND|reject KIND|rate TRACE good|bad [--json]",
     "which models do well with which questions", cli__learning},
    {"scan", "scan [--json] FILE|-", "prompt injection in the lines of a file", cli__scan},
    {"doctor", "doctor [--json]", "what is missing or wrong, and how to mend it", cli__doctor},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof *COMMANDS };

static const char HELP[] =
    "  ask [--json] TEXT          ask the copilot and print its answer with sources\n"
    "      --flow NAME            by which flow: flows list\n"
    "      --models A,B           who answers: models list, pool:NAME\n"
    "      --exchanges N --model-a NAME --model-b NAME --prompt-a WORDS --prompt-b WORDS\n"
    "                             flow dual: how often, who, and what each is told\n"
    "      --conversation ID      what was asked and answered before\n"
    "      --timeout SECONDS      how long it waits\n"
    "  conversations list [--json] [--text TEXT] [--limit N]\n"
    "                             conversations, the one spoken in last first\n"
    "  conversations show [--json] ID\n"
    "  conversations export ID [--format markdown|json] [-o FILE]\n"
    "                             one of them, to read or to keep\n"
    "  conversations release TRACE\n"
    "                             give out an answer that is withheld for its risk\n"
    "  connectors list [--json]   connectors and their health\n"
    "  connectors check [--json] [NAME]\n"
    "                             check their health now; exit 1 if one is not well\n"
    "  connectors tools [--json] [--timeout SECONDS] [NAME]\n"
    "                             what can be called, and which level that takes\n"
    "  connectors call [--json] [--timeout SECONDS] NAME TOOL JSON\n"
    "                             call a tool that only reads\n"
    "  connectors restart NAME    stop and start a connector\n"
    "  connectors enable|disable NAME\n"
    "                             start it, or stop it; kept over restarts\n"
    "  connectors drift [--json] NAME\n"
    "                             how its tools' definitions differ from what was trusted\n"
    "  connectors trust [--json] NAME [TOOL]\n"
    "                             trust the definitions as they are now\n"
    "  connectors login NAME      sign in: shows the address, takes the code that comes back\n"
    "  connectors logout NAME     forget the tokens\n"
    "  models list [--json]       models that can be asked\n"
    "  models check [--json] NAME ask its server whether it is well; exit 1 if not\n"
    "  models available [--json] NAME\n"
    "                             the models that its server has\n"
    "  flows list [--json]        the ways in which questions can be answered\n"
    "  flows show [--json|--dot] NAME\n"
    "                             one of them, its nodes and edges\n"
    "  flows check [--json] FILE  is this file a flow? if not: which node, and why\n"
    "  compare [--json] FILE|-    what pairs of texts claim (lines of ID, A, B with tabs, or "
    "JSON)\n"
    "  cost [--json] [--days N]   what models cost\n"
    "  eval SET [--variants A,B] [--models M+N] [--json] [--missed] [--baseline FILE]\n"
    "           [--save-baseline] [--fail-below N] [--parallel N] [--seed N]\n"
    "                             ask a golden set (a file, or oncall) of several flows and "
    "models,\n"
    "                             and score the answers; exit 1 below N, or if they have drifted\n"
    "  eval --list|--show RUN [--json] [--missed]\n"
    "                             earlier runs\n"
    "  score [--json]             the compliance scorecard\n"
    "  evidence list [--json] [--limit N] [--before SEQ] [--after SEQ] [--type T] [--trace "
    "ID]\n"
    "  evidence show [--json] SEQ one entry with its payload\n"
    "  evidence verify [--json] [--chain] [--from SEQ|FILE] [--checkpoint FILE [--witness "
    "VKEYFILE]]\n"
    "                             verify the log; exit 4 if it was tampered with\n"
    "  evidence checkpoint [--json]\n"
    "                             sign the log as it stands, and print the signed note\n"
    "  evidence proof [--json] SEQ\n"
    "                             prove that an entry is in the log\n"
    "  evidence export --session ID|--range A-B|--trace ID|--control ID|--all "
    "[--no-payloads]\n"
    "                  [--force] [--json] -o FILE\n"
    "                             a signed bundle of entries, to be checked elsewhere\n"
    "  evidence verify --bundle FILE [--json] [--key FILE] [--checkpoint FILE]\n"
    "                  [--witness VKEYFILE]\n"
    "                             check a bundle, without the log\n"
    "  evidence lineage [--json|--dot] [--down] ID\n"
    "                             what an entry or a trace derives from; --audit: all of "
    "it\n"
    "  plans list [--json]        changes that were proposed, and what became of them\n"
    "  plans show|statement ID [--json]\n"
    "                             one of them whole; the text that a person's key signs\n"
    "  plans propose FILE [--json]\n"
    "                             propose a plan\n"
    "  plans approve ID [--person NAME --signature BASE64] [--name TEXT]\n"
    "  plans reject ID --reason TEXT\n"
    "  plans run|stop ID          run what was approved, and wait; stop or withdraw it\n"
    "  plans resolve ID verify|done|not_done|undo|close [--step N]\n"
    "                             say what is the case where that is not known\n"
    "  kill on|off|status [--json] [--reason TEXT]\n"
    "                             the kill switch: on needs no running console\n"
    "  retention status|holds [--json]\n"
    "                             how long payloads are kept; legal holds\n"
    "  retention run [--json] [--dry-run] [--confirm-clock]\n"
    "                             erase the payloads whose time is over\n"
    "  retention erase --subject TEXT|--trace ID|--session ID|--range A-B --reason TEXT\n"
    "                  [--basis TEXT] [--dry-run] [--yes] [--json]\n"
    "                             erase payloads on request\n"
    "  retention hold --subject TEXT|--trace ID|--session ID|--range A-B|--all --reason "
    "TEXT\n"
    "  retention release ID --reason TEXT\n"
    "                             keep payloads from being erased; let them go\n"
    "  retention acts [--json] [ID]\n"
    "                             acts of destruction, drafted for signature\n"
    "  witness list [--json] [--wait]\n"
    "                             who cosigns this log, and how far\n"
    "  witness logs [--json]      the logs that this console cosigned\n"
    "  witness key [--json]       this console's verifier key as a witness\n"
    "  witness serve [--json] [--listen ADDRESS:PORT] [--remote]\n"
    "                             cosign other logs' checkpoints until it is stopped\n"
    "  witness cosign [--json] [--log VKEYFILE] [--proof FILE] FILE\n"
    "                             cosign a checkpoint that came as a file\n"
    "  witness request [--json] [--from SIZE]\n"
    "                             the newest checkpoint with its proof, for a witness\n"
    "  keys list [--json]         the master key, signing keys and what they are trusted "
    "for\n"
    "  keys rotate [--json] [--what master|signing|all] [--seal KIND]\n"
    "                             replace keys; KIND: file, passphrase, systemd-creds\n"
    "  keys verify [--json]       open everything that is sealed; exit 4 if it was tampered "
    "with\n"
    "  vault list [--json]        the names of secrets in the vault\n"
    "  vault set NAME             seal a secret; its value is typed, or read from a pipe\n"
    "  vault remove NAME          forget a secret\n"
    "  vault rotate               replace the master key that seals them\n"
    "  mcp [--http] [--listen ADDRESS:PORT] [--remote]\n"
    "                             serve the console's tools to other agents by MCP: on standard\n"
    "                             input and output, or over HTTP\n"
    "  learning show [--json]     which models did well with which questions, what is proposed\n"
    "  learning accept|reject KIND\n"
    "                             take what is proposed, or not; reject also takes back\n"
    "  learning rate TRACE good|bad\n"
    "                             a word on an answer\n"
    "  scan [--json] FILE|-       what may steer a model in each line of a file\n"
    "  doctor [--json]            what is missing or wrong, and how to mend it\n";

const char *cli_help(void)
{
    return HELP;
}

bool cli_serves(const struct cli *c)
{
    return strcmp(c->command->name, "mcp") == 0 ||
           (c->command->run == cli__witness && strcmp(c->action, "serve") == 0);
}

static char *read_all(FILE *in)
{
    enum { MAX_TEXT = 16384 };
    struct buf text = {0};
    char chunk[4096];
    size_t n;
    while (text.len <= MAX_TEXT && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        buf_add(&text, chunk, n);
    while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.data[--text.len] = 0;
    return buf_take(&text);
}

/* "A-B", both whole numbers in order. */
static bool take_range(struct cli *c, const char *text)
{
    const char *dash = strchr(text, '-');
    char *first = dash ? xstrndup(text, (size_t)(dash - text)) : NULL;
    bool good = first && cli__whole(first, 0, INT64_MAX, &c->from) &&
                cli__whole(dash + 1, 0, INT64_MAX, &c->to) && c->from <= c->to;
    free(first);
    c->range = text;
    return good;
}

/* What belongs to bundles stands with `export` and `verify` only, and is whole there. */
static int check_bundle_words(const struct cli *c)
{
    bool export = strcmp(c->action, "export") == 0, verify = strcmp(c->action, "verify") == 0;
    int scopes = (c->session != NULL) + (c->trace && export) + (c->control != NULL) +
                 (c->range != NULL) + c->all;
    if (export && scopes != 1)
        return cli__usage(c, "export takes one of --session, --range, --trace, --control, --all");
    if (export && !c->output)
        return cli__usage(c, "export takes -o FILE");
    if (!export && (scopes || c->output || c->no_payloads || c->force))
        return cli__usage(c, "that option is for export");
    if ((c->bundle && !verify) || (c->key && !c->bundle))
        return cli__usage(c, c->key ? "--key is for verify --bundle" : "--bundle is for verify");
    return EXIT_DONE;
}

/* Those that read what stands after the options themselves. */
static const struct {
    int (*run)(struct cli *c, struct busc *bus);
    const char *(*words)(struct cli *c, int argc, char **argv); /* NULL, or what is wrong */
} OWN_WORDS[] = {{cli__connectors, cli__connectors_words}, {cli__witness, cli__witness_words},
                 {cli__models, cli__models_words},         {cli__flows, cli__flows_words},
                 {cli__compare, cli__compare_words},       {cli__scan, cli__scan_words},
                 {cli__learning, cli__learning_words},     {cli__vault, cli__vault_words}};

/* What stands after the options. */
static int take_words(struct cli *c, int argc, char **argv)
{
    const struct cli_command *command = c->command;
    if (command->run == cli__ask) {
        struct buf text = {0};
        bool piped = argc == 0 ? !isatty(STDIN_FILENO) : argc == 1 && strcmp(argv[0], "-") == 0;
        for (int i = 0; i < argc && !piped; i++)
            buf_addf(&text, "%s%s", i ? " " : "", argv[i]);
        c->owned_text = piped ? read_all(stdin) : buf_take(&text);
        c->text = c->owned_text;
        if (!c->sides[0] != !c->sides[1] || (c->sides[0] && c->models))
            return cli__usage(c, "--model-a and --model-b go together, and not with --models");
        return *c->text ? EXIT_DONE : cli__usage(c, "there is no question");
    }
    if (command->run == cli__evidence) {
        static const char *const ACTIONS[] = {"list",   "verify", "checkpoint", "report",
                                              "export", "show",   "proof",      "lineage"};
        enum { ACTION_COUNT = sizeof ACTIONS / sizeof *ACTIONS, TAKES_SEQ = 5, LINEAGE = 7 };
        size_t at = 0;
        c->action = argc ? argv[0] : "";
        while (at < ACTION_COUNT && strcmp(c->action, ACTIONS[at]) != 0)
            at++;
        if (at == ACTION_COUNT)
            return cli__usage(c, "the actions are list, show, verify, report, checkpoint, proof, "
                                 "export and lineage");
        if (at == LINEAGE && argc != (c->audit ? 1 : 2))
            return cli__usage(c, "it takes an entry's number or a trace's id, or --audit");
        c->text = argc > 1 ? argv[1] : "";
        if (at == LINEAGE)
            return EXIT_DONE;
        bool seq = at >= TAKES_SEQ;
        if (argc != (seq ? 2 : 1) || (seq && !cli__whole(argv[1], 0, INT64_MAX, &c->seq)))
            return cli__usage(c, seq ? "it takes the number of an entry" : "too many words");
        if ((c->checkpoint || c->witness) && strcmp(c->action, "verify") != 0)
            return cli__usage(c, "--checkpoint and --witness are for verify");
        if (c->chain && (strcmp(c->action, "verify") != 0 || c->bundle))
            return cli__usage(c, "--chain is for verify, without --bundle");
        if (c->witness && !c->checkpoint && !c->bundle)
            return cli__usage(c, "--witness says who is to have cosigned what --checkpoint or "
                                 "--bundle gives");
        return check_bundle_words(c);
    }
    for (size_t i = 0; i < sizeof OWN_WORDS / sizeof *OWN_WORDS; i++) {
        if (command->run != OWN_WORDS[i].run)
            continue;
        const char *wrong = OWN_WORDS[i].words(c, argc, argv);
        return wrong ? cli__usage(c, wrong) : EXIT_DONE;
    }
    const char *problem;
    if (command->run == cli__keys)
        return cli__keys_words(c, argc, argv, &problem) ? EXIT_DONE : cli__usage(c, problem);
    if (c->what || c->seal)
        return cli__usage(c, "--what and --seal are for keys");
    return argc ? cli__usage(c, "too many words") : EXIT_DONE;
}

/* What is wrong with a value. */
static const char *const RANGE = "it takes two numbers of entries, as 10-20",
                         *const NUMBER = "it takes a whole number";

/* The same for those of bundles. */
static const char *take_bundle_option(struct cli *c, int option)
{
    switch (option) {
    case 'S':
        c->session = optarg;
        return NULL;
    case 'R':
        return take_range(c, optarg) ? NULL : RANGE;
    case 'N':
        c->control = optarg;
        return NULL;
    case 'A':
        c->all = true;
        return NULL;
    case 'P':
        c->no_payloads = true;
        return NULL;
    case 'F':
        c->force = true;
        return NULL;
    case 'o':
        c->output = optarg;
        return *optarg ? NULL : "it takes the name of a file";
    case 'B':
        c->bundle = optarg;
        return NULL;
    default:
        c->key = optarg;
        return NULL;
    }
}

/* False if it is none of witnesses'. */
static bool take_witness_option(struct cli *c, int option)
{
    const char **texts[] = {&c->log, &c->proof, &c->listen, &c->witness};
    const char *letters = "1234", *at = strchr(letters, option);
    if (at)
        *texts[at - letters] = optarg;
    c->remote |= option == '5';
    c->wait |= option == '6';
    c->http |= option == '7';
    return at || (option >= '5' && option <= '7');
}

/* False if it is none whose value is a text as it stands. */
static bool take_text_option(struct cli *c, int option)
{
    const char **texts[] = {&c->type,     &c->trace,    &c->checkpoint, &c->flow,
                            &c->models,   &c->what,     &c->seal,       &c->sides[0],
                            &c->sides[1], &c->sides[2], &c->sides[3]};
    const char *letters = "yrcLmWsGHIJ", *at = strchr(letters, option);
    if (at)
        *texts[at - letters] = optarg;
    return at;
}

/* One option with its value (optarg): NULL, or what is wrong with it. */
static const char *take_option(struct cli *c, int option)
{
    int64_t seconds;
    if (take_witness_option(c, option) || take_text_option(c, option))
        return NULL;
    switch (option) {
    case 'j':
        c->json = true;
        return NULL;
    case 't':
        if (!cli__whole(optarg, 1, 86400, &seconds))
            return "it takes 1 to 86400 seconds";
        c->timeout_ms = (uint64_t)seconds * 1000;
        return NULL;
    case 'd':
        return cli__whole(optarg, 1, 366, &c->days) ? NULL : "it takes 1 to 366";
    case 'l':
        return cli__whole(optarg, 1, 1000, &c->limit) ? NULL : "it takes 1 to 1000";
    case 'D':
        c->dot = true;
        return NULL;
    case 'w':
        c->down = true;
        return NULL;
    case 'U':
        c->audit = true;
        return NULL;
    case 'k':
        c->chain = true;
        return NULL;
    case 'b':
        return cli__whole(optarg, 0, INT64_MAX, &c->before) ? NULL : NUMBER;
    case 'a':
        return cli__whole(optarg, 0, INT64_MAX, &c->after) ? NULL : NUMBER;
    case 'f':
        if (!cli__whole(optarg, 0, INT64_MAX, &c->from)) /* a file with a checkpoint */
            c->from_file = optarg;
        return *optarg ? NULL : "it takes an entry, or a file with a checkpoint";
    case 'C':
        c->conversation = optarg;
        return cli__is_id(optarg) ? NULL : "it takes 32 hex digits";
    case 'x':
        return cli__whole(optarg, 1, 4, &c->exchanges) ? NULL : "it takes 1 to 4";
    default:
        return take_bundle_option(c, option);
    }
}

static const struct option OPTIONS[] = {{"json", no_argument, NULL, 'j'},
                                        {"timeout", required_argument, NULL, 't'},
                                        {"days", required_argument, NULL, 'd'},
                                        {"limit", required_argument, NULL, 'l'},
                                        {"before", required_argument, NULL, 'b'},
                                        {"after", required_argument, NULL, 'a'},
                                        {"from", required_argument, NULL, 'f'},
                                        {"chain", no_argument, NULL, 'k'},
                                        {"type", required_argument, NULL, 'y'},
                                        {"trace", required_argument, NULL, 'r'},
                                        {"conversation", required_argument, NULL, 'C'},
                                        {"checkpoint", required_argument, NULL, 'c'},
                                        {"flow", required_argument, NULL, 'L'},
                                        {"models", required_argument, NULL, 'm'},
                                        {"exchanges", required_argument, NULL, 'x'},
                                        {"model-a", required_argument, NULL, 'G'},
                                        {"model-b", required_argument, NULL, 'H'},
                                        {"prompt-a", required_argument, NULL, 'I'},
                                        {"prompt-b", required_argument, NULL, 'J'},
                                        {"session", required_argument, NULL, 'S'},
                                        {"range", required_argument, NULL, 'R'},
                                        {"control", required_argument, NULL, 'N'},
                                        {"all", no_argument, NULL, 'A'},
                                        {"no-payloads", no_argument, NULL, 'P'},
                                        {"force", no_argument, NULL, 'F'},
                                        {"output", required_argument, NULL, 'o'},
                                        {"bundle", required_argument, NULL, 'B'},
                                        {"key", required_argument, NULL, 'K'},
                                        {"dot", no_argument, NULL, 'D'},
                                        {"down", no_argument, NULL, 'w'},
                                        {"audit", no_argument, NULL, 'U'},
                                        {"witness", required_argument, NULL, '4'},
                                        {"log", required_argument, NULL, '1'},
                                        {"proof", required_argument, NULL, '2'},
                                        {"listen", required_argument, NULL, '3'},
                                        {"remote", no_argument, NULL, '5'},
                                        {"wait", no_argument, NULL, '6'},
                                        {"http", no_argument, NULL, '7'},
                                        {"what", required_argument, NULL, 'W'},
                                        {"seal", required_argument, NULL, 's'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

static int take_options(struct cli *c, int argc, char **argv)
{
    if (c->command->run == cli__plans || c->command->run == cli__kill)
        return cli__plans_options(c, argc, argv);
    if (c->command->run == cli__retention)
        return cli__retention_options(c, argc, argv);
    if (c->command->run == cli__eval)
        return cli__eval_options(c, argc, argv);
    if (c->command->run == cli__conversations)
        return cli__conversations_options(c, argc, argv);
    int status = cli__options(c, argc, argv, OPTIONS, take_option);
    return status == EXIT_DONE ? take_words(c, argc - optind, argv + optind) : status;
}

struct cli *cli_parse(int argc, char **argv, int *status)
{
    const struct cli_command *command = NULL;
    const char *near = NULL;
    unsigned best = 4;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        unsigned d = text_distance(argv[0], COMMANDS[i].name, best);
        if (strcmp(argv[0], COMMANDS[i].name) == 0)
            command = &COMMANDS[i];
        if (d < best)
            best = d, near = COMMANDS[i].name;
    }
    if (!command) {
        cli_complain("there is no command \"%s\"%s%s%s", argv[0], near ? "; did you mean \"" : "",
                     near ? near : "", near ? "\"?" : "");
        fputs("mcp-console --help lists what there is\n", stderr);
        *status = EXIT_USAGE;
        return NULL;
    }
    struct cli *c = xcalloc(1, sizeof *c);
    c->command = command;
    c->before = c->after = -1;
    c->limit = 50;
    c->days = 30;
    c->timeout_ms = 60000;
    *status = take_options(c, argc, argv);
    if (*status == EXIT_DONE)
        return c;
    *status = *status < 0 ? EXIT_DONE : *status;
    cli_free(c);
    return NULL;
}

int cli_run(struct cli *c, struct busc *bus)
{
    return cli_flush(c->command->run(c, bus));
}

void cli_free(struct cli *c)
{
    if (c)
        free(c->owned_text);
    free(c);
}
