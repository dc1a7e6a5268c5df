/* What the files of the subcommands share. */
#ifndef TUI_CLI_INTERNAL_H
#define TUI_CLI_INTERNAL_H

#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "tui/cli.h"
#include <stdio.h>

struct cli_retention { /* what `retention` was told */
    const char *trace, *session, *subject, *reason, *basis;
    int64_t first, last;
    bool ranged, all, dry_run, yes, confirm_clock;
};

struct cli_plans { /* what `plans` and `kill` were told */
    const char *reason, *name, *person, *signature, *outcome;
    const char *state; /* `kill off`: --state, or NULL */
    int64_t step;      /* from 1; 0: none */
};

struct cli_eval { /* what `eval` was told; its set is c->file */
    const char *variants, *models, *baseline, *show;
    int64_t parallel, seed;
    double fail_below; /* 0..100 */
    bool keep, missed, list;
};

struct cli {
    const struct cli_command *command;
    bool json;
    const char *text; /* the words of `ask`, the action of `evidence` */
    char *owned_text;
    const char *action;
    int64_t seq, from, limit, before, after, days;
    const char *type, *trace, *conversation, *checkpoint;
    const char *flow, *models; /* ask */
    const char *sides[4];      /* ask: models A and B, prompts A and B */
    int64_t exchanges;
    bool chain;              /* evidence verify */
    const char *from_file;   /* evidence verify: a checkpoint to begin behind */
    const char *what, *seal; /* keys rotate */
    const char *connector, *tool;
    /* evidence export, evidence verify --bundle */
    const char *session, *control, *range, *output, *bundle, *key;
    int64_t to;
    bool no_payloads, force, all;
    bool dot, down, audit;                             /* evidence lineage */
    const char *log, *proof, *listen, *witness, *file; /* of witnesses */
    bool remote, wait, http;
    uint64_t timeout_ms;
    struct cli_retention retention;
    struct cli_plans plans;
    struct cli_eval eval;
};

struct cli_command {
    const char *name, *usage, *help;
    int (*run)(struct cli *c, struct busc *bus);
};

/* Prints a value as JSON and a new line: ASCII only where a terminal reads it, UTF-8 otherwise;
 * what could act on a terminal is escaped in both, because a pipe may end at one. */
void cli__print_json(const json_t *value);
/* The same on one line. */
void cli__print_json_line(const json_t *value);
/* Says on standard error what is wrong, and the usage. EXIT_USAGE. */
int cli__usage(const struct cli *c, const char *what);
/* Takes one option with its value (optarg): NULL, or what is wrong with that. */
typedef const char *cli__taker(struct cli *c, int option);
/* Reads the options, up to optind: EXIT_DONE, EXIT_USAGE after it was said why, -1 after --help:
 * its usage and its lines of the whole help. In the table `help` is 'h', and what has a short form
 * is 'o'. */
struct option;
int cli__options(struct cli *c, int argc, char **argv, const struct option *options,
                 cli__taker *take);
/* A whole number of a range, and nothing else. */
bool cli__whole(const char *text, int64_t least, int64_t most, int64_t *out);
/* Is it the id of a trace or of a conversation: 32 hex digits? */
bool cli__is_id(const char *text);
/* Prints foreign text, cleaned; keep_lines: its new lines stay. */
void cli__put(const char *text, bool keep_lines);
/* The same, padded or cut (with a mark) to a width; negative: right-aligned. */
void cli__cell(const char *text, int width);
/* True if the output is a terminal that does not read UTF-8. */
bool cli__ascii(void);
/* What a subcommand waits for. */
struct cli__wait {
    const char *event, *key, *id; /* its events: their type, the member that has its id, the id */
    enum wire_method look,
        stop; /* what it came to, with `state`; ending it early; both take the id */
    uint64_t limit_ms, end_ms;        /* until it is told to end; how long that may take */
    void (*told)(const json_t *data); /* of each event of it, or NULL */
    bool ended, resync;
};
/* Begins to listen; id is set when it is known. */
void cli__wait_begin(struct busc *bus, struct cli__wait *w);
/* What `look` answers when it has ended, by itself or for its time limit (*status is EXIT_FAILED
 * then); NULL after the error was printed, *status set. */
json_t *cli__wait_end(struct busc *bus, struct cli__wait *w, int *status);
/* An id as text; the caller frees. */
char *cli__id_text(const json_t *id);
/* A line without its end, counted from 1; NULL, or what is wrong with it, valid until the next. */
typedef const char *cli__line(void *arg, size_t number, const char *line, size_t len);
/* Hands every line of c->file (-: standard input) that is not empty to `take`; what is longer than
 * `most` bytes (a MiB or more) is bad. EXIT_FAILED if a line was bad or the file cannot be read. */
int cli__lines(const struct cli *c, size_t most, cli__line *take, void *arg);
/* Calls a method; NULL after the error was printed, *status set. */
json_t *cli__call(struct busc *bus, enum wire_method m, json_t *params, int *status);

/* Waits, limit_ms at most (0: 5 s), until every connector has come up or failed. */
void cli__wait_settled(struct busc *bus, uint64_t limit_ms);

int cli__ask(struct cli *c, struct busc *bus);      /* cli_ask.c */
int cli__evidence(struct cli *c, struct busc *bus); /* cli_evidence.c */
/* The newest part of a file of checkpoints that fits into a request, from the beginning of a note;
 * *status set after the error was printed. The caller frees. */
char *cli__read_checkpoints(const char *path, int *status);
int cli__export(struct cli *c, struct busc *bus);  /* cli_bundle.c */
int cli__lineage(struct cli *c, struct busc *bus); /* cli_lineage.c */
/* cli_retention.c, which reads its options itself; EXIT_DONE, an exit code, or -1 after --help. */
int cli__retention(struct cli *c, struct busc *bus);
int cli__retention_options(struct cli *c, int argc, char **argv);
/* cli_conversations.c, which reads its options itself. */
int cli__conversations(struct cli *c, struct busc *bus);
int cli__conversations_options(struct cli *c, int argc, char **argv);
int cli__mcp(struct cli *c, struct busc *bus); /* cli_mcp.c */
/* cli_plans.c, which reads its options itself too. */
int cli__plans(struct cli *c, struct busc *bus);
int cli__kill(struct cli *c, struct busc *bus);
int cli__plans_options(struct cli *c, int argc, char **argv);
int cli__witness(struct cli *c, struct busc *bus); /* cli_witness.c */
/* c->action and what stands behind it: NULL, or what is wrong. */
const char *cli__witness_words(struct cli *c, int argc, char **argv);
/* A small file, whole; NULL after the error was printed, *status set. The caller frees. */
char *cli__read_file(const char *path, int *status);
/* The same with at most so many bytes. */
char *cli__read_text(const char *path, size_t most, int *status);
int cli__connectors(struct cli *c, struct busc *bus); /* cli_connectors.c */
/* The action and what stands behind it: NULL, or what is wrong. */
const char *cli__connectors_words(struct cli *c, int argc, char **argv);
int cli__vault(struct cli *c, struct busc *bus);                    /* cli_vault.c */
const char *cli__vault_words(struct cli *c, int argc, char **argv); /* NULL, or what is wrong */
int cli__compare(struct cli *c, struct busc *bus);                  /* cli_compare.c */
const char *cli__compare_words(struct cli *c, int argc, char **argv);
/* cli_keys.c. Words: takes the action; false, and what is wrong. */
int cli__keys(struct cli *c, struct busc *bus);
bool cli__keys_words(struct cli *c, int argc, char **argv, const char **problem);

/* cli_models.c; words: NULL, or what is wrong */
int cli__models(struct cli *c, struct busc *bus);
const char *cli__models_words(struct cli *c, int argc, char **argv);
/* cli_flows.c; words: NULL, or what is wrong */
int cli__flows(struct cli *c, struct busc *bus);
const char *cli__flows_words(struct cli *c, int argc, char **argv);
/* cli_scan.c */
int cli__scan(struct cli *c, struct busc *bus);
const char *cli__scan_words(struct cli *c, int argc, char **argv);
/* cli_eval.c, which reads its options itself. */
int cli__eval(struct cli *c, struct busc *bus);
int cli__eval_options(struct cli *c, int argc, char **argv);
/* cli_learning.c; words: NULL, or what is wrong */
int cli__learning(struct cli *c, struct busc *bus);
const char *cli__learning_words(struct cli *c, int argc, char **argv);
/* cli_doctor.c */
int cli__score(struct cli *c, struct busc *bus);
int cli__doctor(struct cli *c, struct busc *bus);
/* cli_cost.c */
int cli__cost(struct cli *c, struct busc *bus);

#endif
