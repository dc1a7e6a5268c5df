/* Private to the MCP connector: lines in, JSON-RPC messages out; command lines; tool results. */
#ifndef CONNECTORS_MCP_FRAME_H
#define CONNECTORS_MCP_FRAME_H

#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/json.h"
#include <stddef.h>

enum { MCP_LINE_MAX = 16 << 20, MCP_LINE_LARGE = 256 << 10, MCP_DEPTH_MAX = 64 };

/* Bytes to lines. Zero-initialise; buf_release(&f.held) frees. */
struct mcp_frame {
    struct buf held; /* the unfinished line */
    size_t max;      /* bytes of a line; 0: MCP_LINE_MAX */
};
/* For each complete line: a JSON object goes to message (borrowed), anything else that is not blank
 * to noise. Both return false to stop at once (the frame may be gone then). TOO_BIG when a line is
 * longer than max: nothing of the stream can be trusted after it. */
struct mcp_frame_ops {
    bool (*message)(void *arg, const json_t *message);
    bool (*noise)(void *arg, const char *line, size_t len);
    /* A line of MCP_LINE_LARGE bytes or more, to be parsed elsewhere (mcp__frame_parse, then
     * mcp__frame_deliver): line is taken. NULL: such lines are treated as all others. */
    bool (*large)(void *arg, struct buf *line);
};
enum err mcp__frame_feed(struct mcp_frame *f, const char *bytes, size_t len,
                         const struct mcp_frame_ops *ops, void *arg);

/* The JSON of a line, NULL if it is none: noise. Pure: fit for a worker. */
json_t *mcp__frame_parse(const char *line, size_t len);
/* Hands on what mcp__frame_parse gave (borrowed) of that line, as mcp__frame_feed does. */
bool mcp__frame_deliver(const json_t *message, const char *line, size_t len,
                        const struct mcp_frame_ops *ops, void *arg);

/* Splits a command line as a shell splits words: blanks, '...', "..." with \" and \\, and \c
 * outside. Nothing else is special: no variables, no globs, no operators. A NULL-terminated list in
 * one block (free the list), NULL with *e (CONFIG) for an open quote, no word, or over 256 words.
 */
char **mcp__split_command(const char *text, struct error *e);

/* The text of a tools/call result: text content joined by new lines, other content as one-line
 * descriptions, resources' text; cut at max bytes; bytes: how many it has uncut. malloc'ed. */
char *mcp__result_text(const json_t *result, size_t max, size_t *bytes);

#endif
