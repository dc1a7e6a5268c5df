/* Markdown (GFM) into a tui_text, as it comes.
 *
 * The source is cut into pieces at places that depend on the bytes alone, never on how they were
 * fed: blank lines, fences, items of top-level lists, and after PIECE_MAX bytes. Each piece is
 * parsed once when it is settled and, while it is the open one, again for each draw.
 *
 * K1 What was settled is never parsed or changed again.
 * K2 A piece is at most PIECE_MAX bytes and one line, so the whole is linear in its length.
 * K3 Nothing is hidden behind styling: URLs, titles, HTML and link definitions are shown as text
 * (only the word behind a fence is not). K4 Only the FOREIGN roles are used. */
#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include "tui/paper.h"
#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_MAX = 16384, LOOK_BACK = 512, DEPTH_MAX = 32, CODE_INDENT = 4 };

struct tui_markdown_stream {
    struct tui_text *text; /* NULL: it was cleared or freed */
    int indent;
    bool bar;
    struct buf open; /* source that is not settled; its first `piece` bytes are whole lines */
    size_t piece;
    size_t seen;       /* behind piece: no new line before this place */
    bool blank_before; /* a blank line stood before the open piece */
    bool blank_after;  /* a blank line is its last one */
    bool anything;     /* something was written: blank lines count from now on */
    bool item;         /* the piece is an item of a top-level list */
    int content;       /* of an item: the column where its text begins */
    int number;        /* of an ordered item, as shown; -1: bullet or no item */
    int last_number;   /* of the piece before, if that was one; -1 */
    char fence;        /* '`' or '~' inside of a top-level fence, else 0 */
    size_t fence_len;
    int fence_indent;
    bool dirty; /* what is shown of the open piece is old */
    struct tui__paper_mark mark;
};

/* ---- one piece: nodes to paragraphs */

struct level { /* an open container */
    size_t rest_len;
    int number;
    bool tight, used;
};
struct walk {
    struct tui_text *text;
    int indent;
    bool bar;
    struct buf first, rest; /* prefixes */
    struct level levels[DEPTH_MAX];
    int depth; /* may be over DEPTH_MAX: then levels are not kept */
    int strong, heading, table, number;
    size_t blank_prefix; /* how much of rest stood before the block that wants a blank line */
    bool blank, header, wrote;
};

static void begin(struct walk *w, enum paper_kind kind, int table)
{
    struct paper_start s = {kind,          ROLE_FOREIGN, w->indent, w->bar,
                            w->first.data, w->rest.data, table};
    if (w->blank) {
        struct paper_start blank = s;
        char *prefix = xstrndup(w->rest.data ? w->rest.data : "", w->blank_prefix);
        blank.kind = PAPER_WORDS;
        blank.first = prefix;
        blank.table = -1;
        tui__paper_begin(w->text, &blank);
        free(prefix);
        w->blank = false;
    }
    tui__paper_begin(w->text, &s);
    buf_clear(&w->first);
    buf_add(&w->first, w->rest.data ? w->rest.data : "", w->rest.len);
    w->wrote = true;
    for (int i = w->depth < DEPTH_MAX ? w->depth : DEPTH_MAX; i > 0 && !w->levels[i - 1].used; i--)
        w->levels[i - 1].used = true;
}

static enum tui_role role_of(const struct walk *w)
{
    if (w->heading)
        return ROLE_FOREIGN_HEADING;
    return w->strong || w->header ? ROLE_FOREIGN_STRONG : ROLE_FOREIGN;
}

static void add(struct walk *w, enum tui_role role, const char *s)
{
    if (s)
        tui__paper_add(w->text, role, s, strlen(s));
}

static void push(struct walk *w, const char *first, const char *rest)
{
    if (w->depth++ >= DEPTH_MAX)
        return;
    w->levels[w->depth - 1] = (struct level){.rest_len = w->rest.len};
    buf_adds(&w->first, first);
    buf_adds(&w->rest, rest);
}

static void pop(struct walk *w, bool must_show)
{
    if (w->depth-- > DEPTH_MAX)
        return;
    if (must_show && !w->levels[w->depth].used) { /* an item without any text */
        w->depth++;
        begin(w, PAPER_WORDS, -1);
        w->depth--;
    }
    size_t len = w->levels[w->depth].rest_len;
    w->rest.len = len;
    if (w->rest.data)
        w->rest.data[len] = 0;
    buf_clear(&w->first);
    buf_add(&w->first, w->rest.data ? w->rest.data : "", w->rest.len);
}

static void item_begin(struct walk *w, cmark_node *list)
{
    static const char spaces[] = "                ";
    struct level *level = w->depth > 0 && w->depth <= DEPTH_MAX ? &w->levels[w->depth - 1] : NULL;
    char bullet[32];
    if (cmark_node_get_list_type(list) == CMARK_ORDERED_LIST && level)
        snprintf(bullet, sizeof(bullet), "%d. ", level->number++);
    else
        snprintf(bullet, sizeof(bullet), "%s ", tui_glyph(GLYPH_BULLET));
    int width = text_width(bullet, strlen(bullet));
    push(w, bullet, spaces + sizeof(spaces) - 1 - (width < 16 ? width : 16));
}

static void code_lines(struct walk *w, enum tui_role role, const char *s)
{
    push(w, "  ", "  ");
    size_t len = s ? strlen(s) : 0;
    if (len && s[len - 1] == '\n')
        len--;
    for (size_t at = 0; at <= len;) {
        const char *nl = len > at ? memchr(s + at, '\n', len - at) : NULL;
        size_t end = nl ? (size_t)(nl - s) : len;
        begin(w, PAPER_CODE, -1);
        if (end > at)
            tui__paper_add(w->text, role, s + at, end - at);
        at = end + 1;
    }
    pop(w, false);
}

/* A blank line before a block where the source has one. */
static void blank_of(struct walk *w, cmark_node *node)
{
    cmark_node *before = cmark_node_previous(node);
    if (!before)
        return;
    if (!w->blank)
        w->blank_prefix = w->rest.len;
    if (cmark_node_get_type(node) == CMARK_NODE_ITEM)
        w->blank |= !cmark_node_get_list_tight(cmark_node_parent(node));
    else
        w->blank |= cmark_node_get_start_line(node) - cmark_node_get_end_line(before) > 1;
}

static void table_begin(struct walk *w, cmark_node *node)
{
    size_t n = cmark_gfm_extensions_get_table_columns(node);
    const uint8_t *align = cmark_gfm_extensions_get_table_alignments(node);
    bool *right = xcalloc(n ? n : 1, sizeof(*right));
    for (size_t i = 0; i < n; i++)
        right[i] = align && align[i] == 'r';
    w->table = tui__paper_table(w->text, n, right);
    free(right);
}

static void link_end(struct walk *w, cmark_node *node)
{
    const char *url = cmark_node_get_url(node), *title = cmark_node_get_title(node);
    cmark_node *child = cmark_node_first_child(node);
    const char *label = child && !cmark_node_next(child) ? cmark_node_get_literal(child) : NULL;
    bool titled = title && *title;
    if (!url || (!*url && !titled) || (label && !strcmp(label, url) && !titled))
        return;
    struct buf shown = {0};
    text_clean(url, strlen(url), TEXT_ONE_LINE, &shown);
    if (titled) {
        buf_adds(&shown, " \"");
        text_clean(title, strlen(title), TEXT_ONE_LINE, &shown);
        buf_addc(&shown, '"');
    }
    add(w, role_of(w), " (");
    add(w, ROLE_FOREIGN_CODE, shown.data);
    add(w, role_of(w), ")");
    buf_release(&shown);
}

/* Tables and strikethrough, which have no constants in cmark's interface. */
static void visit_extension(struct walk *w, cmark_node *node, bool enter)
{
    const char *type = cmark_node_get_type_string(node);
    if (!strcmp(type, "strikethrough")) {
        add(w, role_of(w), "~~");
    } else if (!strcmp(type, "table")) {
        if (enter) {
            blank_of(w, node);
            table_begin(w, node);
        } else {
            w->table = -1;
        }
    } else if (!strcmp(type, "table_header") || !strcmp(type, "table_row")) {
        if (enter)
            begin(w, PAPER_ROW, w->table);
        w->header = enter && type[6] == 'h';
        if (!enter && type[6] == 'h')
            begin(w, PAPER_RULE, w->table);
    } else if (!strcmp(type, "table_cell") && !enter) {
        tui__paper_cell(w->text);
    }
}

static void visit_inline(struct walk *w, cmark_node *node, bool enter)
{
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_TEXT:
        add(w, role_of(w), cmark_node_get_literal(node));
        break;
    case CMARK_NODE_CODE:
    case CMARK_NODE_HTML_INLINE:
        add(w, ROLE_FOREIGN_CODE, cmark_node_get_literal(node));
        break;
    case CMARK_NODE_SOFTBREAK:
        add(w, role_of(w), " ");
        break;
    case CMARK_NODE_LINEBREAK:
        add(w, role_of(w), w->table >= 0 ? " " : "\n");
        break;
    case CMARK_NODE_STRONG:
        w->strong += enter ? 1 : -1;
        break;
    case CMARK_NODE_LINK:
    case CMARK_NODE_IMAGE:
        if (!enter)
            link_end(w, node);
        break;
    case CMARK_NODE_EMPH:
        break;
    default:
        visit_extension(w, node, enter);
    }
}

static void visit(struct walk *w, cmark_node *node, bool enter)
{
    cmark_node_type type = cmark_node_get_type(node);
    if (enter && type > CMARK_NODE_DOCUMENT && type <= CMARK_NODE_THEMATIC_BREAK)
        blank_of(w, node);
    switch (type) {
    case CMARK_NODE_DOCUMENT:
        break;
    case CMARK_NODE_BLOCK_QUOTE:
        if (enter)
            push(w, "> ", "> ");
        else
            pop(w, true);
        break;
    case CMARK_NODE_LIST:
        if (!enter) {
            pop(w, false);
            break;
        }
        push(w, "", "");
        if (w->depth <= DEPTH_MAX)
            w->levels[w->depth - 1].number =
                w->depth == 1 && w->number >= 0 ? w->number : cmark_node_get_list_start(node);
        break;
    case CMARK_NODE_ITEM:
        if (enter)
            item_begin(w, cmark_node_parent(node));
        else
            pop(w, true);
        break;
    case CMARK_NODE_CODE_BLOCK:
    case CMARK_NODE_HTML_BLOCK:
        code_lines(w, ROLE_FOREIGN_CODE, cmark_node_get_literal(node));
        break;
    case CMARK_NODE_THEMATIC_BREAK:
        begin(w, PAPER_RULE, -1);
        break;
    case CMARK_NODE_HEADING:
        w->heading = enter;
        /* fall through */
    case CMARK_NODE_PARAGRAPH:
        if (enter)
            begin(w, PAPER_WORDS, -1);
        break;
    default:
        visit_inline(w, node, enter);
    }
}

static cmark_node *parse(const char *source, size_t len)
{
    static const char *const names[] = {"table", "strikethrough"};
    cmark_gfm_core_extensions_ensure_registered();
    cmark_parser *parser = cmark_parser_new(CMARK_OPT_DEFAULT);
    BUG_IF(!parser);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cmark_syntax_extension *x = cmark_find_syntax_extension(names[i]);
        if (x)
            cmark_parser_attach_syntax_extension(parser, x);
    }
    cmark_parser_feed(parser, source, len);
    cmark_node *root = cmark_parser_finish(parser);
    cmark_parser_free(parser);
    return root;
}

/* The label of a link definition at a line's start is escaped, so that the line stays visible (K3).
 */
static void add_visible(struct buf *out, const char *line, size_t len)
{
    size_t at = 0;
    while (at < len && strchr(" \t>-*+.)0123456789", line[at]) && line[at])
        at++;
    bool escape = false;
    if (at < len && line[at] == '[') {
        size_t end = at + 1;
        while (end < len && line[end] != ']')
            end += line[end] == '\\' ? 2 : 1;
        escape = end >= len || (end + 1 < len && line[end + 1] == ':');
    }
    buf_add(out, line, at);
    if (escape)
        buf_addc(out, '\\');
    buf_add(out, line + at, len - at);
}

static bool is_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", s[i]) || !s[i])
            return false;
    return true;
}

static struct walk walk_of(const struct tui_markdown_stream *m)
{
    return (struct walk){.text = m->text,
                         .indent = m->indent,
                         .bar = m->bar,
                         .table = -1,
                         .number = m->number,
                         .blank = m->blank_before && m->anything};
}

static bool write_piece(const struct tui_markdown_stream *m, const char *source, size_t len)
{
    if (is_blank(source, len))
        return false;
    struct buf visible = {0};
    for (size_t at = 0; at < len;) {
        const char *nl = memchr(source + at, '\n', len - at);
        size_t n = nl ? (size_t)(nl - source) - at + 1 : len - at;
        add_visible(&visible, source + at, n);
        at += n;
    }
    cmark_node *root = parse(visible.data, visible.len);
    struct walk w = walk_of(m);
    cmark_iter *iter = cmark_iter_new(root);
    for (cmark_event_type e; (e = cmark_iter_next(iter)) != CMARK_EVENT_DONE;)
        visit(&w, cmark_iter_get_node(iter), e == CMARK_EVENT_ENTER);
    cmark_iter_free(iter);
    cmark_node_free(root);
    if (!w.wrote) { /* K3: whatever it was, it is shown */
        begin(&w, PAPER_WORDS, -1);
        tui__paper_add(w.text, ROLE_FOREIGN, source, len);
    }
    buf_release(&w.first);
    buf_release(&w.rest);
    buf_release(&visible);
    return true;
}

static void write_code_line(const struct tui_markdown_stream *m, const char *line, size_t len)
{
    struct walk w = walk_of(m);
    for (int i = 0; i < m->fence_indent && len && *line == ' '; i++, line++)
        len--;
    push(&w, "  ", "  ");
    begin(&w, PAPER_CODE, -1);
    tui__paper_add(w.text, ROLE_FOREIGN_CODE, line, len);
    buf_release(&w.first);
    buf_release(&w.rest);
}

/* ---- cutting the stream into pieces */

struct look { /* how a line begins */
    int indent;
    bool blank, rule, heading, quote, marker;
    int content; /* of a marker: where the item's text begins */
    int number;  /* of an ordered marker, else -1 */
    char fence;
    size_t fence_len;
};

static void look_marker(struct look *l, const char *s, size_t len)
{
    size_t at = 0;
    l->number = -1;
    if (strchr("-*+", s[0]) && s[0]) {
        at = 1;
    } else {
        int number = 0;
        while (at < len && at < 9 && s[at] >= '0' && s[at] <= '9')
            number = number * 10 + (s[at++] - '0');
        if (!at || at >= len || (s[at] != '.' && s[at] != ')'))
            return;
        at++;
        l->number = number;
    }
    if (at < len && s[at] != ' ' && s[at] != '\t') {
        l->number = -1;
        return;
    }
    size_t text = at;
    while (text < len && s[text] == ' ')
        text++;
    l->marker = true;
    l->content = l->indent + (int)(text > at + CODE_INDENT || text >= len ? at + 1 : text);
}

static struct look look_at(const char *s, size_t len)
{
    struct look l = {.number = -1};
    size_t at = 0;
    for (; at < len && (s[at] == ' ' || s[at] == '\t'); at++)
        l.indent += s[at] == '\t' ? CODE_INDENT - l.indent % CODE_INDENT : 1;
    s += at;
    len -= at;
    l.blank = !len;
    if (!len)
        return l;
    size_t same = 0, spaces = 0, i = 0;
    for (; i < len && (s[i] == s[0] || s[i] == ' ' || s[i] == '\t'); i++)
        *(s[i] == s[0] ? &same : &spaces) += 1;
    l.rule = i == len && same >= 3 && strchr("-*_", s[0]);
    l.heading = s[0] == '#';
    l.quote = s[0] == '>';
    size_t run = 0;
    while (run < len && s[run] == s[0])
        run++;
    if (run >= 3 && (s[0] == '~' || (s[0] == '`' && !memchr(s + run, '`', len - run)))) {
        l.fence = s[0];
        l.fence_len = run;
    }
    if (!l.rule)
        look_marker(&l, s, len);
    return l;
}

/* Writes the first m->piece bytes for good and forgets them; blank lines before the next piece
 * count. */
static void settle(struct tui_markdown_stream *m, size_t *base)
{
    tui__paper_back(m->text, m->mark);
    if (write_piece(m, m->open.data + *base, m->piece)) {
        m->anything = true;
        m->last_number = m->number;
        m->blank_before = m->blank_after;
    }
    *base += m->piece;
    m->piece = 0;
    m->blank_after = m->item = false;
    m->number = -1;
    m->mark = tui__paper_mark(m->text);
}

static void fence_line(struct tui_markdown_stream *m, const char *line, size_t len)
{
    struct look l = look_at(line, len);
    bool closes = l.fence == m->fence && l.fence_len >= m->fence_len && l.indent < CODE_INDENT;
    for (size_t i = 0; closes && i < len; i++)
        closes = line[i] == m->fence || line[i] == ' ' || line[i] == '\t';
    tui__paper_back(m->text, m->mark);
    if (closes) {
        m->fence = 0;
        m->blank_before = false;
    } else {
        write_code_line(m, line, len);
        m->anything = true;
        m->blank_before = false;
    }
    m->mark = tui__paper_mark(m->text);
}

/* True if the open piece ends before this line. */
static bool ends_before(const struct tui_markdown_stream *m, const struct look *l)
{
    if (m->item) {
        if (l->indent >= m->content)
            return false;
        return l->marker || m->blank_after || l->fence || l->heading || l->quote || l->rule;
    }
    if (l->indent >= CODE_INDENT)
        return false;
    return l->fence || (l->marker && (l->number < 0 || l->number == 1));
}

/* One whole line of the source, at *base + m->piece, that takes `whole` bytes with its end. */
static void line_feed(struct tui_markdown_stream *m, size_t *base, size_t len, size_t whole)
{
    const char *line = m->open.data + *base + m->piece;
    if (len && line[len - 1] == '\r')
        len--;
    if (m->fence) {
        fence_line(m, line, len);
        *base += whole;
        return;
    }
    struct look l = look_at(line, len);
    if (l.blank && !m->item) {
        m->blank_after = true;
        m->piece += whole;
        if (is_blank(m->open.data + *base, m->piece))
            m->blank_before = true;
        settle(m, base);
        return;
    }
    if (m->piece && !l.blank && ends_before(m, &l))
        settle(m, base);
    if (!m->piece) {
        if (l.fence && l.indent < CODE_INDENT) {
            m->fence = l.fence;
            m->fence_len = l.fence_len;
            m->fence_indent = l.indent;
            m->last_number = -1;
            *base += whole;
            return;
        }
        m->item = l.marker && l.indent < CODE_INDENT;
        m->content = l.content;
        m->number = !m->item || l.number < 0 ? -1
                    : m->last_number >= 0    ? m->last_number + 1
                                             : l.number;
    }
    m->blank_after = l.blank;
    m->piece += whole;
    if (m->piece >= PIECE_MAX)
        settle(m, base);
}

/* Where to cut a line that is longer than a piece may be: behind a space, or at a character. */
static size_t cut_place(const char *s)
{
    for (size_t at = PIECE_MAX; at > PIECE_MAX - LOOK_BACK; at--)
        if (s[at - 1] == ' ')
            return at;
    size_t at = PIECE_MAX;
    while (at > PIECE_MAX - 4 && ((unsigned char)s[at - 1] & 0xc0) == 0x80)
        at--;
    return at > 1 && (unsigned char)s[at - 1] >= 0xc0 ? at - 1 : PIECE_MAX;
}

static void take_lines(struct tui_markdown_stream *m)
{
    size_t base = 0;
    for (;;) {
        size_t from = base + m->piece, rest = m->open.len - from;
        size_t window = rest < PIECE_MAX ? rest : PIECE_MAX;
        const char *s = m->open.data + from;
        const char *nl = window > m->seen ? memchr(s + m->seen, '\n', window - m->seen) : NULL;
        if (nl) {
            m->seen = 0;
            line_feed(m, &base, (size_t)(nl - s), (size_t)(nl - s) + 1);
        } else if (rest >= PIECE_MAX) {
            size_t cut = cut_place(s);
            m->seen = 0;
            line_feed(m, &base, cut, cut);
            if (m->piece)
                settle(m, &base);
        } else {
            m->seen = rest;
            break;
        }
    }
    buf_drop(&m->open, base);
}

/* Bytes of an unfinished UTF-8 sequence at the end: not shown before they are whole. */
static size_t unfinished(const char *s, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)s[len - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

static void flush(void *arg)
{
    struct tui_markdown_stream *m = arg;
    if (!m->dirty)
        return;
    m->dirty = false;
    tui__paper_back(m->text, m->mark);
    size_t len = m->open.len - (m->open.len ? unfinished(m->open.data, m->open.len) : 0);
    if (!m->fence) {
        write_piece(m, m->open.data ? m->open.data : "", len);
        return;
    }
    const char *s = m->open.data;
    size_t i = 0;
    while (i < len && (s[i] == m->fence || s[i] == ' '))
        i++;
    if (i < len) /* what may become the closing fence waits */
        write_code_line(m, s, len);
}

static void finish(struct tui_markdown_stream *m)
{
    size_t base = 0, rest = m->open.len - m->piece;
    if (rest)
        line_feed(m, &base, rest, rest);
    if (m->piece)
        settle(m, &base);
    else
        tui__paper_back(m->text, m->mark);
    buf_clear(&m->open);
    m->piece = m->seen = 0;
    m->dirty = false;
}

static void drop(void *arg, bool cleared)
{
    struct tui_markdown_stream *m = arg;
    if (!cleared)
        finish(m);
    tui__paper_stream_set(m->text, NULL);
    m->text = NULL;
}

struct tui_markdown_stream *tui_markdown_begin(struct tui_text *t, int indent, bool bar)
{
    struct tui_markdown_stream *m = xcalloc(1, sizeof(*m));
    *m = (struct tui_markdown_stream){
        .text = t, .indent = indent, .bar = bar, .number = -1, .last_number = -1};
    tui__paper_end_stream(t);
    struct tui__paper_stream s = {flush, drop, m};
    tui__paper_stream_set(t, &s);
    m->mark = tui__paper_mark(t);
    return m;
}

void tui_markdown_feed(struct tui_markdown_stream *m, const char *text, size_t len)
{
    if (!m->text || !len)
        return;
    buf_add(&m->open, text, len);
    take_lines(m);
    m->dirty = true;
}

void tui_markdown_end(struct tui_markdown_stream *m)
{
    if (!m)
        return;
    if (m->text)
        drop(m, false);
    buf_release(&m->open);
    free(m);
}

void tui_text_add_markdown(struct tui_text *t, int indent, bool bar, const char *markdown)
{
    struct tui_markdown_stream *m = tui_markdown_begin(t, indent, bar);
    tui_markdown_feed(m, markdown, strlen(markdown));
    tui_markdown_end(m);
}
