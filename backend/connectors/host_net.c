/* Network interfaces, TCP, sockets. */
#include "backend/connectors/host.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct host_interface *earlier(const struct host_sample *s, const char *name)
{
    for (size_t i = 0; i < s->interface_count; i++) {
        if (strcmp(s->interfaces[i].name, name) == 0)
            return &s->interfaces[i];
    }
    return NULL;
}

static double since(uint64_t now, uint64_t before)
{
    return now > before ? (double)(now - before) : 0.0;
}

static void link_state(const char *root, const char *name, char out[32])
{
    struct buf b = {0};
    snprintf(out, 32, "unknown");
    if (!strchr(name, '/') && name[0] != '.' &&
        host__read(root, &b, 64, "/sys/class/net/%s/operstate", name) == ERR_OK) {
        size_t len = strspn(b.data, "abcdefghijklmnopqrstuvwxyz");
        if (len > 0 && len < 32) {
            memcpy(out, b.data, len);
            out[len] = '\0';
        }
    }
    buf_release(&b);
}

static const char *state_ru(const char *state)
{
    static const char *const names[][2] = {{"up", "работает"},
                                           {"down", "выключен"},
                                           {"unknown", "состояние неизвестно"},
                                           {"dormant", "ждёт"},
                                           {"lowerlayerdown", "нет нижнего уровня"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i][0], state) == 0)
            return names[i][1];
    }
    return state;
}

static void say_interface(const struct host_view *v, struct host_out *o,
                          const struct host_interface *a, const struct host_interface *b,
                          double seconds, json_t *rows)
{
    char state[32];
    link_state(v->root, b->name, state);
    double rx = since(b->rx_bytes, a->rx_bytes) / seconds,
           tx = since(b->tx_bytes, a->tx_bytes) / seconds;
    double errors = since(b->rx_errors, a->rx_errors) + since(b->tx_errors, a->tx_errors);
    double drops = since(b->rx_drops, a->rx_drops) + since(b->tx_drops, a->tx_drops);
    unsigned long long all_errors = b->rx_errors + b->tx_errors,
                       all_drops = b->rx_drops + b->tx_drops;
    struct host_figure fr = host__bytes(rx), ft = host__bytes(tx);
    char *name = host__clean(b->name);
    host__say(o, errors > 0 ? HOST_WARN : HOST_OK, "network", rx + tx, "B/s",
              xasprintf("Interface %s (%s) receives %s/s and sends %s/s; errors since boot: %llu, "
                        "dropped packets: %llu.",
                        name, state, fr.en, ft.en, all_errors, all_drops),
              xasprintf("Интерфейс %s (%s) принимает %s/с и передаёт %s/с; ошибок с момента "
                        "загрузки: %llu, отброшено пакетов: %llu.",
                        name, state_ru(state), fr.ru, ft.ru, all_errors, all_drops));
    free(name);
    json_t *row = json_object();
    json_put(row, "interface", json_text(b->name, strlen(b->name)));
    json_puts(row, "state", state);
    host__put(row, "rx_bytes_per_s", rx, 0);
    host__put(row, "tx_bytes_per_s", tx, 0);
    host__put(row, "errors_in_interval", errors, 0);
    host__put(row, "drops_in_interval", drops, 0);
    json_puti(row, "errors", (int64_t)all_errors);
    json_puti(row, "drops", (int64_t)all_drops);
    json_array_append_new(rows, row);
}

static void say_tcp(struct host_out *o, const struct host_tcp *a, const struct host_tcp *b,
                    double seconds)
{
    if (!a->known || !b->known)
        return;
    enum { FEW = 50 }; /* a share of fewer segments says nothing */
    double sent = since(b->out_segments, a->out_segments),
           again = since(b->retransmits, a->retransmits);
    double percent = sent > 0 ? fmin(100.0, again * 100.0 / sent) : 0;
    struct host_figure fp = host__percent(percent), fs = host__decimal(seconds, 1);
    host__say(o, sent >= FEW ? host__judge(HOST_TCP_RETRANSMITS, percent) : HOST_OK,
              "tcp retransmits", percent, "%",
              xasprintf("TCP sent %.0f of %.0f segments again (%s) over the last %s s.", again,
                        sent, fp.en, fs.en),
              xasprintf("TCP повторно отправил %.0f из %.0f сегментов (%s) за последние %s с.",
                        again, sent, fp.ru, fs.ru));
    double overflows = since(b->listen_overflows, a->listen_overflows);
    if (overflows > 0)
        host__say(
            o, HOST_WARN, "listen overflows", overflows, "",
            xasprintf("Connections refused in the last %s s because a server's accept queue was "
                      "full: %.0f.",
                      fs.en, overflows),
            xasprintf(
                "Соединений, отвергнутых за последние %s с из-за полной очереди accept: %.0f.",
                fs.ru, overflows));
    host__put(o->data, "tcp_retransmits_percent", percent, 2);
    json_puti(o->data, "tcp_retransmits_since_boot", (int64_t)b->retransmits);
    json_puti(o->data, "listen_overflows_since_boot", (int64_t)b->listen_overflows);
    json_puti(o->data, "listen_drops_since_boot", (int64_t)b->listen_drops);
}

void host__network(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct host_two t = host__two(v);
    json_t *rows = json_array();
    for (size_t i = 0; i < t.now->interface_count; i++) {
        const struct host_interface *b = &t.now->interfaces[i], *a = earlier(t.before, b->name);
        /* Loopback and what never carried a byte would only be noise. */
        if (a && strcmp(b->name, "lo") != 0 && b->rx_bytes + b->tx_bytes > 0)
            say_interface(v, o, a, b, t.seconds, rows);
    }
    if (json_array_size(rows) == 0)
        host__say(o, HOST_OK, "network", NAN, "",
                  xstrdup("No network interface except loopback has carried traffic since boot."),
                  xstrdup("С момента загрузки трафик шёл только через петлевой интерфейс."));
    json_put(o->data, "interfaces", rows);
    host__put(o->data, "interval_s", t.seconds, 3);
    say_tcp(o, &t.before->tcp, &t.now->tcp, t.seconds);
    host__two_free(&t);
}

enum { STATES = 12, MAX_PORTS = 256 };
struct tally {
    uint64_t states[STATES];
    struct {
        unsigned port;
        char address[64];
        const char *protocol;
    } ports[MAX_PORTS];
    size_t port_count;
    bool cut, any;
};

static void add_port(struct tally *t, const char *protocol, const char *address, unsigned port)
{
    for (size_t i = 0; i < t->port_count; i++) {
        if (t->ports[i].port == port && strcmp(t->ports[i].address, address) == 0 &&
            t->ports[i].protocol == protocol)
            return;
    }
    if (t->port_count == MAX_PORTS) {
        t->cut = true;
        return;
    }
    t->ports[t->port_count].port = port;
    t->ports[t->port_count].protocol = protocol;
    snprintf(t->ports[t->port_count++].address, 64, "%s", address);
}

static void count_sockets(const char *root, const char *file, const char *protocol, struct tally *t)
{
    enum { LISTEN = 10, UNCONNECTED = 7, MOST = 16 << 20 };
    struct buf b = {0};
    if (host__read(root, &b, MOST, "/proc/net/%s", file) == ERR_OK) {
        char line[256], address[64];
        const char *at = b.data;
        unsigned port, state;
        bool tcp = protocol[0] == 't';
        t->any = true;
        t->cut = t->cut || b.len == MOST;
        host__line(&at, line, sizeof line); /* the heading */
        while (host__line(&at, line, sizeof line)) {
            if (!host__parse_socket(line, address, &port, &state) || state >= STATES)
                continue;
            if (tcp)
                t->states[state]++;
            if (state == (tcp ? LISTEN : UNCONNECTED) && port)
                add_port(t, protocol, address, port);
        }
    }
    buf_release(&b);
}

static void say_ports(struct host_out *o, const struct tally *t)
{
    struct buf list = {0};
    json_t *rows = json_array();
    size_t listening = 0;
    for (size_t i = 0; i < t->port_count; i++) {
        bool six = strchr(t->ports[i].address, ':');
        bool tcp = t->ports[i].protocol[0] == 't';
        listening += tcp;
        if (tcp && list.len < 400)
            buf_addf(&list, six ? "%s[%s]:%u" : "%s%s:%u", list.len ? ", " : "",
                     t->ports[i].address, t->ports[i].port);
        else if (tcp && list.data[list.len - 1] != '.')
            buf_adds(&list, " ...");
        json_t *row = json_object();
        json_puts(row, "protocol", t->ports[i].protocol);
        json_puts(row, "address", t->ports[i].address);
        json_puti(row, "port", t->ports[i].port);
        json_array_append_new(rows, row);
    }
    host__say(o, HOST_OK, "listening ports", (double)listening, "",
              listening ? xasprintf("TCP ports that are listening: %zu (%s).", listening, list.data)
                        : xstrdup("No TCP port is listening."),
              listening
                  ? xasprintf("Портов TCP, принимающих соединения: %zu (%s).", listening, list.data)
                  : xstrdup("Ни один порт TCP не принимает соединений."));
    json_put(o->data, "ports", rows);
    buf_release(&list);
}

void host__sockets(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    static const char *const names[STATES] = {"",           "established", "syn_sent",  "syn_recv",
                                              "fin_wait1",  "fin_wait2",   "time_wait", "close",
                                              "close_wait", "last_ack",    "listen",    "closing"};
    enum { ESTABLISHED = 1, TIME_WAIT = 6, CLOSE_WAIT = 8 };
    (void)arguments;
    struct tally *t = xcalloc(1, sizeof *t);
    count_sockets(v->root, "tcp", "tcp", t);
    count_sockets(v->root, "tcp6", "tcp", t);
    count_sockets(v->root, "udp", "udp", t);
    count_sockets(v->root, "udp6", "udp", t);
    if (!t->any) {
        host__say(o, HOST_WARN, "sockets", NAN, "",
                  xstrdup("/proc/net/tcp cannot be read, so sockets are not known."),
                  xstrdup("/proc/net/tcp не читается, поэтому о сокетах ничего не известно."));
        goto out;
    }
    unsigned long long established = t->states[ESTABLISHED], waiting = t->states[TIME_WAIT],
                       left = t->states[CLOSE_WAIT];
    host__say(
        o, HOST_OK, "sockets", (double)established, "",
        xasprintf("TCP connections: %llu established, %llu in time-wait, %llu in close-wait%s.",
                  established, waiting, left, t->cut ? " (there are more than were counted)" : ""),
        xasprintf("Соединений TCP: установлено %llu, в time-wait %llu, в close-wait %llu%s.",
                  established, waiting, left, t->cut ? " (всего их больше, чем посчитано)" : ""));
    enum host_severity s = host__judge(HOST_CLOSE_WAIT, (double)left);
    if (s != HOST_OK)
        host__say(
            o, s, "close-wait", (double)left, "",
            xasprintf("TCP connections that a local program left unclosed (close-wait): %llu.",
                      left),
            xasprintf("Соединений TCP, не закрытых местной программой (close-wait): %llu.", left));
    json_t *states = json_object();
    for (size_t i = 1; i < STATES; i++)
        json_puti(states, names[i], (int64_t)t->states[i]);
    json_put(o->data, "tcp", states);
    say_ports(o, t);
out:
    free(t);
}
