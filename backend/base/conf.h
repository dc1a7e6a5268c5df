/* mcp-console.conf: sections and keys come from conf.def, which also gives the manual its table.
 *
 * An unknown section or key, a bad value, a missing required key are errors that name file, line,
 * key and the nearest valid one. Each plain setting can be set by the environment variable
 * MCP_CONSOLE_<SECTION>_<KEY> (upper case), which wins over the file. */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include "backend/base/errors.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;

/* One section as read: [kind "name"]; name is "" for a plain [kind]. */
struct conf_section {
    const char *kind;
    const char *name;
    int line;
};

/* Reads path; NULL path means nothing but defaults. On failure NULL and *e: CONFIG with
 * "FILE:LINE: ..." or IO. A missing file is ERR_NOT_FOUND. Owned by the caller. */
struct conf *conf_load(const char *path, struct error *e);
void conf_free(struct conf *c);
const char *conf_path(const struct conf *c); /* "" for defaults only */

/* Values with their default from conf.def; strings belong to the conf. The key must be in conf.def
 * with that type (a bug otherwise). name is "" for plain sections. */
const char *conf_str(const struct conf *c, const char *kind, const char *name, const char *key);
int64_t conf_int(const struct conf *c, const char *kind, const char *name, const char *key);
double conf_num(const struct conf *c, const char *kind, const char *name, const char *key);
bool conf_flag(const struct conf *c, const char *kind, const char *name, const char *key);
/* The file:line where the key was set, "default" or the variable's name; valid until the next call.
 */
const char *conf_where(const struct conf *c, const char *kind, const char *name, const char *key);
/* Every key of a section with its value as it counts, defaults and the environment included, a line
 * each: two sections that mean the same have the same text. The caller frees. */
char *conf_section_text(const struct conf *c, const char *kind, const char *name);
/* Named sections of a kind in file order: fills up to max names, returns how many there are. */
size_t conf_names(const struct conf *c, const char *kind, const char **names, size_t max);

/* The configuration file to read: --config if given, else
 * $XDG_CONFIG_HOME/mcp-console/mcp-console.conf, else SYSCONFDIR/mcp-console/mcp-console.conf; NULL
 * if none is there. The caller frees. */
char *conf_find(const char *option);
/* The state directory: --state, else $XDG_STATE_HOME/mcp-console, else ~/.local/state/mcp-console.
 * Made with mode 0700 (parents 0755) if missing. NULL with *e set, also for one that another user
 * owns or may write. The caller frees. */
char *conf_state_dir(const char *option, struct error *e);
/* Makes a directory and those above it that are missing, each for its owner only. */
enum err conf_make_dirs(const char *path, struct error *e);
/* Writes dir/name, for its owner only, durable, whole or not at all; one that was there is
 * replaced. */
enum err conf_write_file(const char *dir, const char *name, const char *bytes, size_t len,
                         struct error *e);
/* The configuration's directory ($XDG_CONFIG_HOME/mcp-console), which need not exist. The caller
 * frees. */
char *conf_dir(void);

#endif
