/* The mock model server (tests/peers/mock_model.c) as a child of a unit test. It stands beside the
 * test in the build directory; the Makefile builds it with them. */
#ifndef TESTS_MOCK_HARNESS_H
#define TESTS_MOCK_HARNESS_H

#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/json.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct mock_peer {
    pid_t pid;
    int in, port;
    char url[64]; /* "http://127.0.0.1:PORT" */
};

/* argument: "--no-log", or NULL. False if it cannot be started. */
static inline bool mock_start(struct mock_peer *m, const char *argument)
{
    int in[2], out[2];
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
    if (n < 0 || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        return false;
    path[n] = '\0';
    for (int i = 0; i < 2 && strrchr(path, '/'); i++)
        *strrchr(path, '/') = '\0';
    size_t len = strlen(path);
    snprintf(path + len, sizeof path - len, "/peers/mock_model");
    *m = (struct mock_peer){.pid = fork(), .in = in[1]};
    if (m->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl(path, path, argument, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    bool up = f && fscanf(f, "%d", &m->port) == 1;
    if (f)
        fclose(f);
    snprintf(m->url, sizeof m->url, "http://127.0.0.1:%d", m->port);
    return up;
}

/* 0 if it ended well. */
static inline int mock_stop(struct mock_peer *m)
{
    int status = -1;
    if (m->pid <= 0)
        return 0;
    close(m->in);
    waitpid(m->pid, &status, 0);
    m->pid = 0;
    return status;
}

/* One blocking request; NULL if it failed. body NULL: a GET. The caller owns the answer. */
static inline json_t *mock_ask(const struct mock_peer *m, const char *path, const char *body)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)m->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct buf b = {0};
    char bytes[65536];
    buf_addf(&b,
             "%s %s HTTP/1.1\r\nHost: mock\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
             body ? "POST" : "GET", path, body ? strlen(body) : 0, body ? body : "");
    json_t *answer = NULL;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
        write(fd, b.data, b.len) == (ssize_t)b.len) {
        buf_clear(&b);
        for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0;)
            buf_add(&b, bytes, (size_t)n);
        const char *text = b.len ? strstr(b.data, "\r\n\r\n") : NULL;
        if (text)
            answer = json_loads(text + 4, JSON_DISABLE_EOF_CHECK, NULL);
    }
    if (fd >= 0)
        close(fd);
    buf_release(&b);
    return answer;
}

/* What the next requests get: a JSON list for POST /mock/script. */
static inline bool mock_script(const struct mock_peer *m, const char *lines)
{
    json_t *answer = mock_ask(m, "/mock/script", lines);
    json_decref(answer);
    return answer != NULL;
}

/* The last log entry for a model, or NULL; the caller owns it. */
static inline json_t *mock_logged(const struct mock_peer *m, const char *model)
{
    json_t *all = mock_ask(m, "/log", NULL), *last = NULL, *entry;
    size_t i;
    json_array_foreach(all, i, entry)
    {
        if (strcmp(json_str(entry, "model", ""), model) == 0)
            last = entry;
    }
    json_incref(last);
    json_decref(all);
    return last;
}

#endif
