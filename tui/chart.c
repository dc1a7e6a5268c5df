/* Charts from characters: eighths of a cell, Braille dots, or ASCII where only that is shown.
 *
 * A value that is not finite is unknown and leaves its place empty; a negative one is a failure. */
#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include "tui/tui.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS = 8, DOT_ROWS = 4, DOT_COLUMNS = 2 };

static const char *const rising[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const rising_ascii[LEVELS] = {"_", ".", ":", "-", "=", "+", "*", "#"};
static const char *const growing[LEVELS] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

static double maximum(const double *values, size_t n)
{
    double max = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i]) && values[i] > max)
            max = values[i];
    return max;
}

static int clip_width(struct tui_area a, int y, int x, int width)
{
    if (y < 0 || y >= a.height || x < 0 || x >= a.width)
        return 0;
    return width < 0 || width > a.width - x ? a.width - x : width;
}

void tui_sparkline(struct tui_area a, int y, int x, int width, enum tui_role role,
                   const double *values, size_t n)
{
    width = clip_width(a, y, x, width);
    if (width <= 0 || !n)
        return;
    /* The newest values, the last one at the right edge: rows above each other show the same time.
     */
    if (n > (size_t)width) {
        values += n - (size_t)width;
        n = (size_t)width;
    }
    double max = maximum(values, n);
    int at = x + width - (int)n;
    for (size_t i = 0; i < n; i++, at++) {
        double v = values[i];
        if (!isfinite(v))
            continue;
        if (v < 0) {
            tui_put_glyph(a, y, at, ROLE_FAIL, GLYPH_FAIL);
            continue;
        }
        int level = max > 0 ? (int)(v / max * (LEVELS - 1) + 0.5) : 0;
        const char *s = (tui_ascii() ? rising_ascii : rising)[level];
        tui_put_clean(a, y, at, role, s, strlen(s));
    }
}

void tui_bar(struct tui_area a, int y, int x, int width, enum tui_role role, double fraction)
{
    width = clip_width(a, y, x, width);
    if (width <= 0 || !(fraction > 0))
        return;
    if (fraction > 1)
        fraction = 1;
    int eighths = (int)(fraction * width * LEVELS + 0.5);
    if (eighths < 1)
        eighths = 1; /* a little is not nothing */
    struct buf line = {0};
    for (int i = 0; i < eighths / LEVELS; i++)
        buf_adds(&line, tui_ascii() ? "#" : "█");
    if (eighths % LEVELS)
        buf_adds(&line, tui_ascii() ? (eighths % LEVELS >= LEVELS / 2 ? "=" : "-")
                                    : growing[eighths % LEVELS]);
    tui_put_clean(a, y, x, role, line.data, line.len);
    buf_release(&line);
}

void tui_span(struct tui_area a, int y, int x, int width, enum tui_role role, double from,
              double to)
{
    width = clip_width(a, y, x, width);
    if (width <= 0 || !isfinite(from) || !isfinite(to))
        return;
    from = from < 0 ? 0 : from > 1 ? 1 : from;
    to = to < from ? from : to > 1 ? 1 : to;
    int first = (int)(from * width), last = (int)ceil(to * width);
    if (first >= width)
        first = width - 1;
    if (last <= first)
        last = first + 1;
    struct buf line = {0};
    for (int i = first; i < last; i++)
        buf_adds(&line, tui_ascii() ? "=" : "▆");
    tui_put_clean(a, y, x + first, role, line.data, line.len);
    buf_release(&line);
}

/* The linux console's font has no Braille. */
static bool has_braille(void)
{
    const char *term = getenv("TERM");
    return !term || strncmp(term, "linux", 5) != 0;
}

/* The greatest value of column c of `columns`; each value keeps its own width when there are fewer
 * values than columns: steps, no line that nobody measured. */
static double column_value(const double *values, size_t n, int c, int columns, bool *failed)
{
    size_t from = (size_t)c * n / (size_t)columns, to = ((size_t)c + 1) * n / (size_t)columns;
    if (to <= from)
        to = from + 1;
    double max = NAN;
    *failed = false;
    for (size_t i = from; i < to && i < n; i++) {
        if (values[i] < 0)
            *failed = true;
        else if (isfinite(values[i]) && !(values[i] <= max))
            max = values[i];
    }
    return max;
}

/* Filled steps of a column of `steps`: none for unknown or zero, at least one for more than zero.
 */
static int filled(double value, double max, int steps)
{
    if (!(value > 0) || !(max > 0))
        return 0;
    int n = (int)(value / max * steps + 0.5);
    return n < 1 ? 1 : n > steps ? steps : n;
}

/* What of a chart is drawn: rows from `first` on, of `height`. */
struct part {
    int height, first;
};

static void chart_braille(struct tui_area a, enum tui_role role, const double *values, size_t n,
                          double max, struct part p)
{
    /* The dots of a cell, lowest first, left and right column (Unicode 15, block U+2800). */
    static const unsigned char dots[DOT_COLUMNS][DOT_ROWS] = {{0x40, 0x04, 0x02, 0x01},
                                                              {0x80, 0x20, 0x10, 0x08}};
    int columns = a.width * DOT_COLUMNS, steps = p.height * DOT_ROWS;
    int *fill = xcalloc((size_t)columns, sizeof(*fill));
    for (int c = 0; c < columns; c++) {
        bool failed;
        fill[c] = filled(column_value(values, n, c, columns, &failed), max, steps);
    }
    struct buf line = {0};
    for (int y = 0; y < a.height; y++) {
        int below = (p.height - 1 - p.first - y) * DOT_ROWS;
        buf_clear(&line);
        for (int x = 0; x < a.width; x++) {
            unsigned bits = 0;
            for (int side = 0; side < DOT_COLUMNS; side++)
                for (int d = 0; d < DOT_ROWS; d++)
                    if (fill[x * DOT_COLUMNS + side] > below + d)
                        bits |= dots[side][d];
            char out[4];
            buf_add(&line, out, text_encode(bits ? 0x2800 + bits : ' ', out));
        }
        tui_put_clean(a, y, 0, role, line.data, line.len);
    }
    buf_release(&line);
    free(fill);
}

static void chart_cells(struct tui_area a, enum tui_role role, const double *values, size_t n,
                        double max, struct part p)
{
    int levels = tui_ascii() ? 1 : LEVELS;
    struct buf line = {0};
    for (int y = 0; y < a.height; y++) {
        int below = (p.height - 1 - p.first - y) * levels;
        buf_clear(&line);
        for (int x = 0; x < a.width; x++) {
            bool failed;
            double v = column_value(values, n, x, a.width, &failed);
            int k = filled(v, max, p.height * levels) - below;
            if (k <= 0)
                buf_addc(&line, ' ');
            else if (levels == 1)
                buf_addc(&line, '#');
            else
                buf_adds(&line, rising[(k > LEVELS ? LEVELS : k) - 1]);
        }
        tui_put_clean(a, y, 0, role, line.data, line.len);
    }
    buf_release(&line);
}

void tui_chart_part(struct tui_area a, enum tui_role role, const double *values, size_t n,
                    double max, int height, int first)
{
    struct part p = {height, first};
    if (first >= 0 && a.height > height - first)
        a.height = height - first;
    if (a.width <= 0 || a.height <= 0 || first < 0 || !n)
        return;
    if (!(max > 0))
        max = maximum(values, n);
    if (tui_ascii() || !has_braille())
        chart_cells(a, role, values, n, max, p);
    else
        chart_braille(a, role, values, n, max, p);
    /* A failure stands on the ground line whatever else its column shows. */
    for (int x = 0; x < a.width && first + a.height == height; x++) {
        bool failed;
        column_value(values, n, x, a.width, &failed);
        if (failed)
            tui_put_glyph(a, a.height - 1, x, ROLE_FAIL, GLYPH_FAIL);
    }
}

void tui_chart(struct tui_area a, enum tui_role role, const double *values, size_t n, double max)
{
    tui_chart_part(a, role, values, n, max, a.height, 0);
}
