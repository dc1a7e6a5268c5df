/* Copying by OSC 52: xterm's control sequence that hands text to the terminal's clipboard. */
#include "backend/base/text.h"
#include "tui/app.h"
#include "tui/screen.h"
#include <stdlib.h>
#include <string.h>

/* xterm takes 100,000 bytes of a sequence: three quarters of what the frame leaves. */
enum { COPY_MAX = 74994, SCREEN_CHUNK = 76 };

static void base64(const char *bytes, size_t len, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)bytes;
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0) |
                     (i + 2 < len ? (unsigned)p[i + 2] : 0);
        buf_addc(out, digits[v >> 18]);
        buf_addc(out, digits[v >> 12 & 63]);
        buf_addc(out, i + 1 < len ? digits[v >> 6 & 63] : '=');
        buf_addc(out, i + 2 < len ? digits[v & 63] : '=');
    }
}

/* tmux passes a sequence on in its own frame with every ESC doubled; screen in chunks. */
static void wrap(const struct buf *osc, struct buf *out)
{
    const char *term = getenv("TERM");
    if (getenv("TMUX")) {
        buf_adds(out, "\033Ptmux;");
        for (size_t i = 0; i < osc->len; i++) {
            if (osc->data[i] == '\033')
                buf_addc(out, '\033');
            buf_addc(out, osc->data[i]);
        }
        buf_adds(out, "\033\\");
    } else if (term && !strncmp(term, "screen", 6)) {
        for (size_t i = 0; i < osc->len; i += SCREEN_CHUNK) {
            buf_adds(out, "\033P");
            buf_add(out, osc->data + i, osc->len - i < SCREEN_CHUNK ? osc->len - i : SCREEN_CHUNK);
            buf_adds(out, "\033\\");
        }
    } else {
        buf_add(out, osc->data, osc->len);
    }
}

void tui_copy(const char *text)
{
    struct buf clean = {0}, osc = {0}, out = {0};
    text_clean(text, strlen(text), 0, &clean); /* what is pasted elsewhere must not act there */
    if (clean.len > COPY_MAX) {
        tui_say(_("not copied: %zu bytes, the terminal takes %d"), clean.len, COPY_MAX);
    } else {
        buf_adds(&osc, "\033]52;c;");
        if (clean.len)
            base64(clean.data, clean.len, &osc);
        buf_adds(&osc, "\033\\");
        wrap(&osc, &out);
        tui__screen_write(out.data, out.len);
        tui_say(_("sent %zu bytes to the terminal's clipboard (OSC 52)"), clean.len);
    }
    buf_release(&clean);
    buf_release(&osc);
    buf_release(&out);
}
