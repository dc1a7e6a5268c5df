/* The parsers of /proc, /sys, mountinfo, kernel messages, systemctl, and of MCP's lines: any bytes.
 */
#include "backend/base/clock.h"
#include "backend/connectors/host.h"
#include "backend/connectors/mcp_frame.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool on_message(void *arg, const json_t *message)
{
    (void)arg;
    size_t bytes;
    free(mcp__result_text(message, 100, &bytes));
    return true;
}

static bool on_noise(void *arg, const char *line, size_t len)
{
    *(size_t *)arg += len + (unsigned char)line[0];
    return true;
}

static void feed_frame(const char *text, size_t size)
{
    static const struct mcp_frame_ops ops = {.message = on_message, .noise = on_noise};
    struct mcp_frame f = {.max = 200};
    size_t seen = 0, half = size / 2;
    if (mcp__frame_feed(&f, text, half, &ops, &seen) == ERR_OK)
        mcp__frame_feed(&f, text + half, size - half, &ops, &seen);
    BUG_IF(f.held.len > 200);
    buf_release(&f.held);
}

static void feed_lines(const char *text)
{
    char line[512], address[64];
    struct host_disk disk;
    struct host_interface interface;
    struct host_mount *mount = xcalloc(1, sizeof *mount);
    struct host_kernel_message message;
    unsigned port, state;
    while (host__line(&text, line, sizeof line)) {
        if (host__parse_disk(line, &disk))
            BUG_IF(!disk.name[0] || strchr(disk.name, '/'));
        if (host__parse_interface(line, &interface))
            BUG_IF(!interface.name[0] || strchr(interface.name, '/'));
        if (host__parse_mount(line, mount))
            BUG_IF(mount->path[0] != '/');
        if (host__parse_kernel_message(line, &message))
            BUG_IF(message.level > 7 || message.len > strlen(line));
        if (host__parse_socket(line, address, &port, &state))
            BUG_IF(port > 65535 || state > 255);
    }
    free(mount);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = xstrndup((const char *)bytes, size), user[HOST_NAME];
    struct host_cpu cpu;
    struct host_stat stat;
    struct host_memory memory;
    struct host_psi psi;
    double load[3];
    uint64_t a, b;
    host__parse_stat(text, &cpu);
    if (host__parse_memory(text, &memory))
        BUG_IF(memory.available > memory.total || memory.swap_free > memory.swap_total);
    if (host__parse_process(text, &stat))
        BUG_IF(stat.pid <= 0);
    host__parse_psi(text, &psi);
    host__parse_load(text, load, &a, &b);
    host__value(text, "oom_kill", &a);
    host__pair(text, "Tcp: ", "OutSegs", &a);
    host__user(text, 0, user);
    feed_lines(text);
    struct host_out out;
    host__out_init(&out);
    host__parse_units((const char *)bytes, size, &out);
    host__out_release(&out);
    feed_frame((const char *)bytes, size);
    struct error e;
    free(mcp__split_command(text, &e));
    free(text);
    return 0;
}
