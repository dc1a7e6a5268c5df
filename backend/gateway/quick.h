/* The events that make up most of a stream bring a few characters of text and nothing else. They
 * are read here without a tree; whatever else an event may hold sends it the long way, through
 * json_read. What is taken here is valid JSON without a member twice, and the long way would have
 * found the same text in it and nothing more. */
#ifndef GATEWAY_QUICK_H
#define GATEWAY_QUICK_H

#include "backend/base/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum gw__quick_take {                 /* those from GW__QUICK_FALSE on must be there */
                      GW__QUICK_ANY,  /* a string, a number, true, false or null, which says nothing
                                       */
                      GW__QUICK_NONE, /* null, or a list or string that is empty */
                      GW__QUICK_FALSE,  /* false */
                      GW__QUICK_IS,     /* the string `is` */
                      GW__QUICK_TEXT,   /* a string: the text; or null */
                      GW__QUICK_OBJECT, /* an object with the members `in` */
                      GW__QUICK_ONE     /* a list of exactly one such object */
};
struct gw__quick { /* a table ends with key NULL; at most 32 rows */
    const char *key;
    unsigned char len; /* of the key */
    enum gw__quick_take take;
    const struct gw__quick *in;
    const char *is;
};
/* Chunks of chat completions; lines of Ollama's chat; deltas of Anthropic's Messages. */
extern const struct gw__quick gw__quick_openai[], gw__quick_ollama[], gw__quick_anthropic[];

/* True: *text is the event's text of *len bytes, in json or in *own, which the caller releases. */
bool gw__quick_read(const struct gw__quick *table, const char *json, size_t size, struct buf *own,
                    const char **text, size_t *len);

#endif
