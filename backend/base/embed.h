/* Files built into the binary.
 *
 * The Makefile turns each set (runbooks, themes, prices, conf, bundle, libraries,
 * mcp, flows, evals) into one table
 * that ends with a null name. Names are paths from the top of the source tree; data is followed by
 * a NUL that size does not count. Nothing is to be freed. */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#include <stddef.h>

struct embed_file {
    const char *name;
    const char *data;
    size_t size;
};

extern const struct embed_file embed_runbooks[];
extern const struct embed_file embed_themes[];
extern const struct embed_file embed_prices[];
extern const struct embed_file embed_conf[];
extern const struct embed_file embed_bundle[];
extern const struct embed_file embed_mcp[];
extern const struct embed_file embed_flows[];
extern const struct embed_file embed_evals[];
extern const struct embed_file embed_libraries[]; /* one file: see backend/libraries.sh */

#endif
