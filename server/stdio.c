/* Standard input and output: a message a line. Nothing else leaves by what was standard output:
 * descriptor 1 is made to lead to standard error for as long as the server lives.
 *
 * Input is not read while more than UNSENT bytes wait to be taken: who does not read is not
 * served. The descriptors may be shared with other processes: they stay blocking, and a write is
 * never longer than what poll() promised room for. */
#include "server/internal.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNSENT = 4 << 20, CHUNK = 65536, LAST_MS = 2000 /* for calls when input has ended */ };

/* In 2025-03-26; the channel of its requests. */
struct batch {
    json_t *answers;
    int pending;
};
struct stdio {
    struct peer peer;
    int out; /* standard output as it was */
    struct loop_watch *in_watch, *out_watch;
    struct buf in, unsent;
    size_t sent, seen; /* bytes of `in` that hold no line's end */
    bool skipping;     /* the rest of a line that is too long */
    bool ended;        /* standard input */
    struct loop_timer *patience;
};

static void arm(struct stdio *io)
{
    size_t waiting = io->unsent.len - io->sent;
    loop_watch_set(io->out_watch, waiting ? LOOP_WRITE : 0);
    loop_watch_set(io->in_watch, io->ended || waiting > UNSENT ? 0 : LOOP_READ);
}

static void put_line(struct stdio *io, const json_t *message)
{
    char *text = json_write(message);
    buf_adds(&io->unsent, text);
    buf_addc(&io->unsent, '\n');
    free(text);
    arm(io);
}

static void batch_step(struct stdio *io, struct batch *b)
{
    if (--b->pending)
        return;
    if (json_array_size(b->answers)) /* all may have been cancelled */
        put_line(io, b->answers);
    json_decref(b->answers);
    free(b);
}

static void send_message(struct peer *p, void *channel, json_t *message, bool last)
{
    struct stdio *io = (struct stdio *)p;
    struct batch *b = last ? channel : NULL;
    if (b) {
        json_array_append_new(b->answers, message);
        batch_step(io, b);
    } else {
        put_line(io, message);
        json_decref(message);
    }
}

static void drop_request(struct peer *p, void *channel)
{
    batch_step((struct stdio *)p, channel);
}

static const struct peer_ops OPS = {send_message, drop_request};

static void give_up(void *arg)
{
    struct stdio *io = arg;
    server__quit(io->peer.server, NULL);
}

/* Input that ended is how a client says goodbye; what it asked before is answered. */
static void end_if_over(struct stdio *io)
{
    if (!io->ended)
        return;
    if (!io->peer.calls && io->unsent.len == io->sent)
        give_up(io);
    else
        loop_timer_start(io->patience, LAST_MS, 0);
}

static void on_writable(void *arg, int events)
{
    struct stdio *io = arg;
    size_t left = io->unsent.len - io->sent;
    (void)events;
    ssize_t n = send(io->out, io->unsent.data + io->sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK)
        n = write(io->out, io->unsent.data + io->sent, left < PIPE_BUF ? left : PIPE_BUF);
    if (n < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
        server__quit(io->peer.server, NULL); /* nobody listens any more */
        return;
    }
    io->sent += n > 0 ? (size_t)n : 0;
    if (io->sent == io->unsent.len) {
        buf_clear(&io->unsent);
        io->sent = 0;
        end_if_over(io);
    }
    arm(io);
}

static void refuse(struct stdio *io, int code, const char *text)
{
    send_message(&io->peer, NULL, server__error(NULL, code, text, NULL), true);
}

static void take_batch(struct stdio *io, const json_t *messages)
{
    struct batch *b = xcalloc(1, sizeof *b);
    json_t *one;
    size_t i;
    b->answers = json_array();
    b->pending = 1; /* so that it outlives the last of them here */
    json_array_foreach((json_t *)messages, i, one) b->pending += server__is_answered(one);
    json_array_foreach((json_t *)messages, i, one) server__take(&io->peer, b, one, false);
    batch_step(io, b);
}

static void take_line(struct stdio *io, const char *line, size_t len)
{
    struct error e = {0};
    while (len && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (!len)
        return;
    json_t *message = json_read(line, len, SERVER_MESSAGE, SERVER_DEPTH, &e);
    if (!message) {
        char *text = xasprintf("that is no JSON: %.200s", e.detail);
        refuse(io, RPC_PARSE, text);
        free(text);
    } else if (json_is_array(message) && io->peer.revision == REV_2025_03 &&
               json_array_size(message)) {
        take_batch(io, message);
    } else if (!json_is_object(message)) {
        refuse(io, RPC_REQUEST, "a message is an object");
    } else {
        server__take(&io->peer, NULL, message, false);
    }
    json_decref(message);
}

static void take_lines(struct stdio *io)
{
    size_t from = 0;
    char *end;
    while ((end = memchr(io->in.data + io->seen, '\n', io->in.len - io->seen))) {
        size_t at = (size_t)(end - io->in.data);
        if (!io->skipping)
            take_line(io, io->in.data + from, at - from);
        io->skipping = false;
        io->seen = from = at + 1;
    }
    if (from)
        buf_drop(&io->in, from);
    io->seen = io->in.len;
    if (io->in.len > SERVER_MESSAGE) {
        if (!io->skipping)
            refuse(io, RPC_PARSE, "the message is too long");
        io->skipping = true;
    }
    if (io->skipping) {
        buf_clear(&io->in);
        io->seen = 0;
    }
}

static void on_readable(void *arg, int events)
{
    struct stdio *io = arg;
    char bytes[CHUNK];
    (void)events;
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n > 0) {
        buf_add(&io->in, bytes, (size_t)n);
        take_lines(io);
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        io->ended = true;
        end_if_over(io);
    }
    arm(io);
}

struct stdio *server__stdio_new(struct server *s)
{
    struct stdio *io = xcalloc(1, sizeof *io);
    io->out = dup(STDOUT_FILENO);
    BUG_IF(io->out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0);
    server__peer_init(&io->peer, s, &OPS);
    io->in_watch = loop_watch_new(s->loop, STDIN_FILENO, 0, on_readable, io);
    io->patience = loop_timer_new(s->loop, give_up, io);
    io->out_watch = loop_watch_new(s->loop, io->out, 0, on_writable, io);
    return io;
}

void server__stdio_start(struct stdio *io)
{
    arm(io);
}

void server__stdio_free(struct stdio *io)
{
    if (!io)
        return;
    server__peer_end(&io->peer);
    loop_watch_free(io->in_watch);
    loop_watch_free(io->out_watch);
    loop_timer_free(io->patience);
    dup2(io->out, STDOUT_FILENO);
    close(io->out);
    buf_release(&io->in);
    buf_release(&io->unsent);
    free(io);
}
