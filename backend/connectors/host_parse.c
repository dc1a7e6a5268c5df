/* Parsers of kernel text. Input may be anything: names hold every byte but NUL and '/', fields may
 * be missing, numbers may be huge. Formats: proc(5), Documentation/admin-guide/iostats.rst,
 * Documentation/accounting/psi.rst, Documentation/ABI/testing/dev-kmsg. */
#include "backend/connectors/host.h"
#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool host__line(const char **at, char *line, size_t max)
{
    const char *from = *at;
    if (!*from)
        return false;
    size_t len = strcspn(from, "\n");
    size_t kept = len < max - 1 ? len : max - 1;
    memcpy(line, from, kept);
    line[kept] = '\0';
    *at = from + len + (from[len] == '\n');
    return true;
}

bool host__number(const char **at, uint64_t *out)
{
    const char *p = *at;
    while (*p == ' ' || *p == '\t')
        p++;
    if (*p < '0' || *p > '9')
        return false;
    uint64_t n = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            n = UINT64_MAX / 10;
    }
    *at = p;
    *out = n;
    return true;
}

static bool real(const char **at, double *out)
{
    char *end;
    *out = strtod(*at, &end);
    if (end == *at || !isfinite(*out))
        return false;
    *at = end;
    return true;
}

/* The start of the line that begins with key, or NULL; for multi-line text. */
static const char *line_of(const char *text, const char *key)
{
    size_t len = strlen(key);
    while (*text) {
        if (strncmp(text, key, len) == 0)
            return text;
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return NULL;
}

bool host__value(const char *text, const char *key, uint64_t *out)
{
    size_t len = strlen(key);
    while ((text = line_of(text, key))) {
        const char *p = text + len;
        if (*p == ':' || *p == ' ' || *p == '\t') {
            p += *p == ':';
            return host__number(&p, out);
        }
        text += len;
        text += strcspn(text, "\n");
    }
    return false;
}

bool host__parse_stat(const char *text, struct host_cpu *out)
{
    memset(out, 0, sizeof *out);
    const char *p = line_of(text, "cpu ");
    if (!p)
        return false;
    p += 3;
    uint64_t *fields[] = {&out->user,   &out->nice, &out->system,  &out->idle,
                          &out->iowait, &out->irq,  &out->softirq, &out->steal};
    for (size_t i = 0; i < 8; i++) {
        if (!host__number(&p, fields[i]) && i < 4)
            return false; /* older kernels have fewer columns, none has fewer than four */
    }
    char line[64];
    while (host__line(&text, line, sizeof line)) {
        if (strncmp(line, "cpu", 3) == 0 && line[3] >= '0' && line[3] <= '9')
            out->cores++;
        else if (strncmp(line, "procs_", 6) == 0 || strncmp(line, "btime", 5) == 0)
            (void)(host__value(line, "procs_running", &out->running) ||
                   host__value(line, "procs_blocked", &out->blocked) ||
                   host__value(line, "btime", &out->boot_s));
    }
    if (out->cores == 0)
        out->cores = 1;
    return true;
}

bool host__parse_load(const char *text, double load[3], uint64_t *runnable, uint64_t *tasks)
{
    for (int i = 0; i < 3; i++) {
        if (!real(&text, &load[i]) || load[i] < 0)
            return false;
    }
    if (!host__number(&text, runnable) || *text++ != '/')
        return false;
    return host__number(&text, tasks);
}

static bool psi_line(const char *text, const char *kind, double *ten, double *sixty)
{
    const char *p = line_of(text, kind);
    if (!p)
        return false;
    char line[160];
    host__line(&p, line, sizeof line);
    const char *a = strstr(line, "avg10="), *b = strstr(line, "avg60=");
    if (!a || !b)
        return false;
    a += 6;
    b += 6;
    return real(&a, ten) && real(&b, sixty);
}

bool host__parse_psi(const char *text, struct host_psi *out)
{
    memset(out, 0, sizeof *out);
    out->known = psi_line(text, "some ", &out->some10, &out->some60);
    out->has_full = psi_line(text, "full ", &out->full10, &out->full60);
    return out->known;
}

static uint64_t kib(const char *text, const char *key)
{
    uint64_t n = 0;
    return host__value(text, key, &n) && n < UINT64_MAX / 1024 ? n * 1024 : 0;
}

bool host__parse_memory(const char *text, struct host_memory *out)
{
    memset(out, 0, sizeof *out);
    uint64_t probe;
    out->total = kib(text, "MemTotal");
    out->free = kib(text, "MemFree");
    out->cached = kib(text, "Cached");
    out->buffers = kib(text, "Buffers");
    out->has_available = host__value(text, "MemAvailable", &probe);
    out->available =
        out->has_available ? kib(text, "MemAvailable") : out->free + out->cached + out->buffers;
    out->swap_total = kib(text, "SwapTotal");
    out->swap_free = kib(text, "SwapFree");
    out->dirty = kib(text, "Dirty");
    if (out->available > out->total)
        out->available = out->total;
    if (out->swap_free > out->swap_total)
        out->swap_free = out->swap_total;
    return out->total > 0;
}

bool host__parse_process(const char *text, struct host_stat *out)
{
    memset(out, 0, sizeof *out);
    const char *p = text;
    uint64_t n, fields[22] = {0};
    if (!host__number(&p, &n) || n == 0 || n > INT32_MAX)
        return false;
    out->pid = (int)n;
    /* The name may hold brackets and spaces itself: it ends at the last ')'. */
    const char *open = strchr(p, '('), *close = strrchr(p, ')');
    if (!open || !close || close < open || close[1] != ' ' || !close[2])
        return false;
    size_t len = (size_t)(close - open - 1);
    if (len >= sizeof out->name)
        len = sizeof out->name - 1;
    memcpy(out->name, open + 1, len);
    out->state = close[2];
    p = close + 3;
    for (size_t i = 0; i < 21; i++) { /* from field 4, ppid, to field 24, rss */
        while (*p == ' ')
            p++;
        if (*p == '-') { /* tpgid, priority and nice may be negative */
            p++;
            if (!host__number(&p, &n))
                return false;
            continue;
        }
        if (!host__number(&p, &fields[i]))
            return false;
    }
    out->parent = fields[0] <= INT32_MAX ? (int)fields[0] : 0;
    out->ticks = fields[10] + fields[11];
    out->threads = fields[16];
    out->start_ticks = fields[18];
    out->rss_pages = fields[20] <= UINT64_MAX >> 24 ? fields[20] : 0;
    return true;
}

bool host__parse_disk(const char *line, struct host_disk *out)
{
    memset(out, 0, sizeof *out);
    uint64_t n, fields[11];
    if (!host__number(&line, &n) || !host__number(&line, &n))
        return false;
    line += strspn(line, " ");
    size_t len = strcspn(line, " ");
    if (len == 0 || len >= sizeof out->name || memchr(line, '/', len))
        return false;
    memcpy(out->name, line, len);
    line += len;
    for (size_t i = 0; i < 10; i++) {
        if (!host__number(&line, &fields[i]))
            return false;
    }
    out->reads = fields[0];
    out->read_sectors = fields[2];
    out->read_ms = fields[3];
    out->writes = fields[4];
    out->write_sectors = fields[6];
    out->write_ms = fields[7];
    out->busy_ms = fields[9];
    return true;
}

bool host__parse_interface(const char *line, struct host_interface *out)
{
    memset(out, 0, sizeof *out);
    line += strspn(line, " ");
    const char *colon = strrchr(line, ':');
    if (!colon || colon == line || (size_t)(colon - line) >= sizeof out->name)
        return false;
    memcpy(out->name, line, (size_t)(colon - line));
    if (strchr(out->name, '/'))
        return false;
    const char *p = colon + 1;
    uint64_t f[12];
    for (size_t i = 0; i < 12; i++) {
        if (!host__number(&p, &f[i]))
            return false;
    }
    out->rx_bytes = f[0];
    out->rx_errors = f[2];
    out->rx_drops = f[3];
    out->tx_bytes = f[8];
    out->tx_errors = f[10];
    out->tx_drops = f[11];
    return true;
}

bool host__pair(const char *text, const char *prefix, const char *key, uint64_t *out)
{
    const char *names = line_of(text, prefix);
    if (!names)
        return false;
    size_t skip = strlen(prefix), key_len = strlen(key);
    const char *values = line_of(names + skip, prefix);
    if (!values)
        return false;
    names += skip;
    values += skip;
    for (;;) {
        names += strspn(names, " ");
        values += strspn(values, " ");
        size_t name_len = strcspn(names, " \n"), value_len = strcspn(values, " \n");
        if (name_len == 0 || value_len == 0)
            return false;
        if (name_len == key_len && memcmp(names, key, key_len) == 0)
            return host__number(&values, out);
        names += name_len;
        values += value_len;
    }
}

/* A field of mountinfo: blanks, new lines and backslashes are octal escapes. False: it did not fit.
 */
static bool mount_field(const char **at, char *out, size_t max)
{
    const char *p = *at;
    size_t n = 0;
    bool fits = true;
    p += strspn(p, " ");
    while (*p && *p != ' ') {
        char c = *p++;
        if (c == '\\' && p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
            p[2] <= '7') {
            c = (char)((p[0] - '0') << 6 | (p[1] - '0') << 3 | (p[2] - '0'));
            p += 3;
        }
        if (n + 1 < max)
            out[n++] = c;
        else
            fits = false;
    }
    out[n] = '\0';
    *at = p;
    return fits;
}

static bool has_option(const char *options, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = options; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        if (n == len && memcmp(p, name, len) == 0)
            return true;
        p += n;
    }
    return false;
}

bool host__parse_mount(const char *line, struct host_mount *out)
{
    memset(out, 0, sizeof *out);
    uint64_t n, major, minor;
    char options[512], super[512], skip[8];
    if (!host__number(&line, &n) || !host__number(&line, &n) || !host__number(&line, &major) ||
        *line++ != ':' || !host__number(&line, &minor))
        return false;
    out->device = major << 32 | (minor & UINT32_MAX);
    mount_field(&line, skip, sizeof skip); /* the root within the file system */
    out->cut = !mount_field(&line, out->path, sizeof out->path);
    mount_field(&line, options, sizeof options);
    const char *dash = strstr(line, " - ");
    if (!dash || out->path[0] != '/')
        return false;
    line = dash + 3;
    mount_field(&line, out->type, sizeof out->type);
    mount_field(&line, out->source, sizeof out->source);
    mount_field(&line, super, sizeof super);
    out->read_only = has_option(options, "ro") || has_option(super, "ro");
    return out->type[0] != '\0';
}

bool host__parse_kernel_message(const char *line, struct host_kernel_message *out)
{
    memset(out, 0, sizeof *out);
    uint64_t priority, sequence;
    if (!host__number(&line, &priority) || *line++ != ',' || !host__number(&line, &sequence) ||
        *line++ != ',' || !host__number(&line, &out->at_us))
        return false;
    const char *text = strchr(line, ';');
    if (!text)
        return false;
    out->level = (unsigned)(priority & 7);
    out->text = text + 1;
    out->len = strcspn(out->text, "\n");
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool host__parse_socket(const char *line, char address[64], unsigned *port, unsigned *state)
{
    const char *p = strchr(line, ':'); /* "  0: 0100007F:1F90 00000000:0000 0A ..." */
    if (!p)
        return false;
    p++;
    p += strspn(p, " ");
    size_t digits = strspn(p, "0123456789ABCDEFabcdef");
    if (digits != 8 && digits != 32)
        return false;
    /* The kernel prints each 32-bit word of the address as a number in the machine's order. */
    unsigned char bytes[16];
    for (size_t word = 0; word < digits / 8; word++) {
        uint32_t value = 0;
        for (size_t i = 0; i < 8; i++)
            value = value << 4 | (uint32_t)hex(p[word * 8 + i]);
        memcpy(bytes + word * 4, &value, 4);
    }
    p += digits;
    if (!inet_ntop(digits == 8 ? AF_INET : AF_INET6, bytes, address, 64) || *p++ != ':')
        return false;
    *port = 0;
    for (int i = 0; i < 4; i++, p++) {
        if (hex(*p) < 0)
            return false;
        *port = *port << 4 | (unsigned)hex(*p);
    }
    p += strspn(p, " ");
    p += strcspn(p, " ");
    p += strspn(p, " ");
    if (hex(p[0]) < 0 || hex(p[1]) < 0)
        return false;
    *state = (unsigned)(hex(p[0]) << 4 | hex(p[1]));
    return true;
}
