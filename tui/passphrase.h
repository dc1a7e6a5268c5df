/* Passphrases: from a file or a descriptor that the environment names, or from the terminal without
 * echo. Never from an argument. */
#ifndef TUI_PASSPHRASE_H
#define TUI_PASSPHRASE_H

#include "backend/base/errors.h"
#include <stdbool.h>
#include <stddef.h>

enum { TUI__PASSPHRASE_MAX = 1024 };
struct tui__passphrase { /* wiped by its release */
    char text[TUI__PASSPHRASE_MAX + 1];
    size_t len;
};
void tui__passphrase_wipe(struct tui__passphrase *p);
/* The first line of the file that $NAME_FILE names, or of the open descriptor whose number is in
 * $NAME_FD. NOT_FOUND: neither is set; otherwise why it cannot be had: a file that others may read
 * is refused. */
enum err tui__passphrase_given(const char *name, struct tui__passphrase *out, struct error *e);
/* Asks on /dev/tty, twice if it is a new one, until both are the same. PASSPHRASE: there is no
 * terminal; CANCELLED: Ctrl-C, or a signal that ends the process. */
enum err tui__passphrase_ask(const char *prompt, bool twice, struct tui__passphrase *out,
                             struct error *e);

#endif
