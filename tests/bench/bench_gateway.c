/* What the gateway adds to a call: the same requests to the same mock of a model
 * (tests/peers/mock_model.c) by a bare libcurl client, by that client through nginx, and by
 * gw_start; in turns, so that other work of the machine meets all three. Prints one JSON object a
 * line: {"name", "value", "unit", "nginx", "direct"}; value and nginx are what they add to direct.
 *
 * usage: bench_gateway [--quick]                          latency, first token, tokens a second
 *        bench_gateway --only direct|nginx|gateway N      N calls one after the other, for a
 * profiler */
#include "backend/base/clock.h"
#include "backend/gateway/gateway.h"
#include "tests/unit/mock_harness.h"
#include <curl/curl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { FLYING_MAX = 100, ROUNDS = 6 };
enum way { DIRECT, NGINX, GATEWAY, WAYS };
/* An answer of 16 tokens at once; one whose tokens come each ms; one without a pause. */
static const char *const shapes[] = {"tokens=16", "first=1,tokens=3,rate=1000", "tokens=100000"};
enum shape { SHORT, PACED, ENDLESS, SHAPES };

struct samples {
    double *us;
    size_t len, cap;
};

struct bench {
    struct mock_peer mock;
    pid_t nginx;
    int nginx_port;
    char dir[64], conf[96];
    struct samples whole[WAYS], first[WAYS];
    /* of the run that is under way */
    enum way way;
    enum shape shape;
    size_t left, flying;
    struct loop *loop;
    struct gw *gw;
    CURLM *multi;
};

struct flight {
    struct bench *b;
    CURL *easy;
    struct curl_slist *headers;
    uint64_t began, first;
};

static void sample(struct samples *s, uint64_t from, uint64_t to)
{
    if (s->len == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 1024;
        s->us = xrealloc(s->us, s->cap * sizeof *s->us);
    }
    s->us[s->len++] = (double)(to - from) / 1000;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(struct samples *s, double q)
{
    if (!s->len)
        return -1;
    qsort(s->us, s->len, sizeof *s->us, by_value);
    return s->us[(size_t)(q * (double)(s->len - 1))];
}

static void landed(struct flight *f)
{
    struct bench *b = f->b;
    uint64_t now = clock_mono_ns();
    if (!f->first) {
        fprintf(stderr, "bench_gateway: an answer without a token\n");
        exit(1);
    }
    sample(&b->whole[b->way], f->began, now);
    sample(&b->first[b->way], f->began, f->first);
    b->flying--;
}

/* ---- bare libcurl */

static const char TOKEN[] = "\"delta\":{\"content\":\"";

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct flight *f = arg;
    if (!f->first && memmem(bytes, size * count, TOKEN, sizeof TOKEN - 1))
        f->first = clock_mono_ns();
    return size * count;
}

static void curl_begin(struct flight *f)
{
    struct bench *b = f->b;
    f->first = 0;
    f->began = clock_mono_ns();
    b->left--;
    b->flying++;
    curl_multi_add_handle(b->multi, f->easy);
}

/* The handle keeps its options: a client cannot do less. */
static void curl_prepare(struct flight *f, struct bench *b)
{
    char url[64], *body;
    f->b = b;
    f->easy = curl_easy_init();
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1/chat/completions",
             b->way == NGINX ? b->nginx_port : b->mock.port);
    body = xasprintf("{\"model\":\"%s\",\"messages\":[{\"role\":\"system\",\"content\":\"You are "
                     "terse.\"},{\"role\":\"user\","
                     "\"content\":\"How full is the "
                     "disk?\"}],\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                     "\"max_tokens\":1024}",
                     shapes[b->shape]);
    f->headers = curl_slist_append(NULL, "Content-Type: application/json");
    curl_easy_setopt(f->easy, CURLOPT_URL, url);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
    curl_easy_setopt(f->easy, CURLOPT_COPYPOSTFIELDS, body);
    curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
    curl_easy_setopt(f->easy, CURLOPT_NOPROXY, "*");
    free(body);
}

static void run_curl(struct bench *b, size_t flights)
{
    static struct flight all[FLYING_MAX];
    int running, left;
    for (size_t i = 0; i < flights; i++) {
        curl_prepare(&all[i], b);
        curl_begin(&all[i]);
    }
    while (b->flying) {
        curl_multi_perform(b->multi, &running);
        for (CURLMsg *m; (m = curl_multi_info_read(b->multi, &left));) {
            struct flight *f = NULL;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
            if (m->data.result != CURLE_OK) {
                fprintf(stderr, "bench_gateway: %s\n", curl_easy_strerror(m->data.result));
                exit(1);
            }
            landed(f);
            curl_multi_remove_handle(b->multi, f->easy);
            if (b->left)
                curl_begin(f);
        }
        if (b->flying)
            curl_multi_poll(b->multi, NULL, 0, 1000, NULL);
    }
    for (size_t i = 0; i < flights; i++) {
        curl_easy_cleanup(all[i].easy);
        curl_slist_free_all(all[i].headers);
    }
}

/* ---- the gateway */

static void gw_begin(struct flight *f);

static void on_delta(void *arg, const char *text, size_t len)
{
    struct flight *f = arg;
    (void)text, (void)len;
    if (!f->first)
        f->first = clock_mono_ns();
}

static void on_done(void *arg, const struct gw_result *r)
{
    struct flight *f = arg;
    struct bench *b = f->b;
    if (r->error.code != ERR_OK) {
        fprintf(stderr, "bench_gateway: %s\n", r->error.detail);
        exit(1);
    }
    landed(f);
    if (b->left)
        gw_begin(f);
    else if (!b->flying)
        loop_quit(b->loop);
}

static void gw_begin(struct flight *f)
{
    static const struct gw_ops ops = {.delta = on_delta, .done = on_done};
    static const struct gw_message messages[] = {
        {.role = "system", .content = "You are terse."},
        {.role = "user", .content = "How full is the disk?"}};
    struct gw_request r = {.question = "How full is the disk?",
                           .lang = "en",
                           .messages = messages,
                           .message_count = 2,
                           .max_output_tokens = 1024};
    struct error e = {0};
    static const char *const models[] = {"short", "paced", "endless"};
    f->first = 0;
    f->began = clock_mono_ns();
    f->b->left--;
    f->b->flying++;
    if (gw_start(f->b->gw, models[f->b->shape], &r, &ops, f, &e))
        return;
    fprintf(stderr, "bench_gateway: %s\n", e.detail);
    exit(1);
}

static void run_gateway(struct bench *b, size_t flights)
{
    static struct flight all[FLYING_MAX];
    for (size_t i = 0; i < flights; i++) {
        all[i].b = b;
        gw_begin(&all[i]);
    }
    loop_run(b->loop);
}

static void run(struct bench *b, enum way way, enum shape shape, size_t flights, size_t count)
{
    b->way = way;
    b->shape = shape;
    b->left = count > flights ? count : flights;
    if (way == GATEWAY)
        run_gateway(b, flights);
    else
        run_curl(b, flights);
}

static void forget(struct bench *b)
{
    for (int way = 0; way < WAYS; way++)
        b->whole[way].len = b->first[way].len = 0;
}

/* All ways in turns; the first round only warms. */
static void compare(struct bench *b, enum shape shape, size_t flights, size_t count)
{
    for (int round = 0; round <= ROUNDS; round++) {
        for (enum way way = DIRECT; way < WAYS; way++)
            if (way != NGINX || b->nginx)
                run(b, way, shape, flights, round ? count / ROUNDS : flights);
        if (!round)
            forget(b);
    }
}

static void report(struct samples of[WAYS], const char *name, const char *which, double q)
{
    double direct = quantile(&of[DIRECT], q), nginx = quantile(&of[NGINX], q),
           own = quantile(&of[GATEWAY], q);
    printf("{\"name\":\"%s %s\",\"value\":%.1f,\"unit\":\"us\",\"direct\":%.1f", name, which,
           own - direct, direct);
    if (nginx >= 0)
        printf(",\"nginx\":%.1f", nginx - direct);
    puts("}");
}

static void latency(struct bench *b, size_t flights, size_t count)
{
    char name[64];
    snprintf(name, sizeof name, "added at %zu", flights);
    compare(b, SHORT, flights, count);
    report(b->whole, name, "p50", 0.5);
    report(b->whole, name, "p99", 0.99);
    forget(b);
}

static void first_token(struct bench *b, size_t count)
{
    compare(b, PACED, 1, count);
    report(b->first, "first token", "p50", 0.5);
    report(b->first, "first token", "p99", 0.99);
    forget(b);
}

static double per_second(struct samples *s)
{
    double us = quantile(s, 0.5);
    return us > 0 ? 100000.0 / us * 1e6 : -1;
}

/* One stream as fast as it is taken. */
static void ceiling(struct bench *b)
{
    compare(b, ENDLESS, 1, ROUNDS);
    printf("{\"name\":\"tokens a second\",\"value\":%.0f,\"unit\":\"1/s\",\"direct\":%.0f",
           per_second(&b->whole[GATEWAY]), per_second(&b->whole[DIRECT]));
    if (b->nginx)
        printf(",\"nginx\":%.0f", per_second(&b->whole[NGINX]));
    puts("}");
    forget(b);
}

/* ---- what stands around */

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                       getsockname(fd, (struct sockaddr *)&at, &len) == 0
                   ? ntohs(at.sin_port)
                   : 0;
    close(fd);
    return port;
}

static bool answers(int port)
{
    struct mock_peer at = {.port = port};
    for (int i = 0; i < 200; i++) {
        json_t *count = mock_ask(&at, "/mock/count", NULL);
        json_decref(count);
        if (count)
            return true;
        usleep(10000);
    }
    return false;
}

/* nginx as people set it up before an API that streams: connections are kept, nothing is buffered.
 */
static void start_nginx(struct bench *b)
{
    static const char program[] = "/usr/sbin/nginx";
    if (access(program, X_OK))
        return;
    b->nginx_port = free_port();
    char *conf = xasprintf("%s/nginx.conf", b->dir);
    char *text = xasprintf(
        "%sdaemon off;\nworker_processes 1;\npid %s/pid;\nerror_log %s/error.log;\n"
        "events { worker_connections 512; }\n"
        "http { access_log off; keepalive_requests 10000000; client_body_temp_path %s/1; "
        "proxy_temp_path %s/2;\n"
        "fastcgi_temp_path %s/3; uwsgi_temp_path %s/4; scgi_temp_path %s/5;\n"
        "upstream mock { server 127.0.0.1:%d; keepalive 128; keepalive_requests 10000000; }\n"
        "server { listen 127.0.0.1:%d; tcp_nodelay on; location / { proxy_pass http://mock; "
        "proxy_http_version 1.1;\n"
        "proxy_set_header Connection \"\"; proxy_buffering off; proxy_request_buffering off; } } "
        "}\n",
        geteuid() ? "" : "user root;\n", b->dir, b->dir, b->dir, b->dir, b->dir, b->dir, b->dir,
        b->mock.port, b->nginx_port);
    char *log = xasprintf("%s/error.log", b->dir);
    if (write_file(conf, text) && (b->nginx = fork()) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* it ends its worker too */
        int nowhere = open("/dev/null", O_RDWR);
        dup2(nowhere, 1);
        dup2(nowhere, 2);
        execl(program, program, "-e", log, "-p", b->dir, "-c", conf, (char *)NULL);
        _exit(127);
    }
    if (!answers(b->nginx_port)) {
        fprintf(stderr, "bench_gateway: nginx does not start\n");
        kill(b->nginx, SIGKILL);
        waitpid(b->nginx, NULL, 0);
        b->nginx = 0;
    }
    free(conf);
    free(text);
    free(log);
}

static void open_gateway(struct bench *b)
{
    struct buf text = {0};
    static const char *const models[] = {"short", "paced", "endless"};
    struct error e = {0};
    for (int i = 0; i < SHAPES; i++)
        buf_addf(&text, "[model \"%s\"]\nkind = openai\nurl = %s/v1\nmodel = %s\nparallel = 128\n",
                 models[i], b->mock.url, shapes[i]);
    struct conf *conf = write_file(b->conf, text.data) ? conf_load(b->conf, &e) : NULL;
    b->loop = loop_new();
    b->gw = conf ? gw_new(b->loop, conf, &e) : NULL;
    if (!b->gw) {
        fprintf(stderr, "bench_gateway: %s\n", e.detail);
        exit(1);
    }
    conf_free(conf);
    buf_release(&text);
}

static void shut(struct bench *b)
{
    gw_free(b->gw);
    loop_free(b->loop);
    curl_multi_cleanup(b->multi);
    if (b->nginx) {
        kill(b->nginx, SIGTERM);
        waitpid(b->nginx, NULL, 0);
    }
    mock_stop(&b->mock);
    for (int way = 0; way < WAYS; way++) {
        free(b->whole[way].us);
        free(b->first[way].us);
    }
    char *remove_it = xasprintf("rm -rf '%s'", b->dir);
    if (system(remove_it))
        fprintf(stderr, "bench_gateway: %s stays\n", b->dir);
    free(remove_it);
}

static int only(struct bench *b, const char *which, size_t count)
{
    static const char *const names[] = {"direct", "nginx", "gateway"};
    for (enum way way = DIRECT; way < WAYS; way++)
        if (strcmp(which, names[way]) == 0 && (way != NGINX || b->nginx))
            run(b, way, SHORT, 1, count);
    for (enum way way = DIRECT; way < WAYS; way++)
        if (b->whole[way].len)
            printf("%s p50 %.1f us, p99 %.1f us\n", names[way], quantile(&b->whole[way], 0.5),
                   quantile(&b->whole[way], 0.99));
    return 0;
}

int main(int argc, char **argv)
{
    static struct bench b;
    signal(SIGPIPE, SIG_IGN);
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    snprintf(b.dir, sizeof b.dir, "/tmp/mcpc-gateway-XXXXXX");
    if (!mkdtemp(b.dir) || chmod(b.dir, 0711) || !mock_start(&b.mock, "--no-log")) {
        fprintf(stderr, "bench_gateway: the mock does not start\n");
        return 1;
    }
    snprintf(b.conf, sizeof b.conf, "%s/conf", b.dir);
    unsetenv("MODEL_BACKENDS");
    open_gateway(&b);
    b.multi = curl_multi_init();
    start_nginx(&b);
    if (argc == 4 && strcmp(argv[1], "--only") == 0) {
        only(&b, argv[2], (size_t)strtol(argv[3], NULL, 10));
    } else {
        latency(&b, 1, quick ? 1200 : 12000);
        latency(&b, 16, quick ? 3000 : 18000);
        latency(&b, 100, quick ? 3000 : 18000);
        first_token(&b, quick ? 600 : 3000);
        ceiling(&b);
    }
    shut(&b);
    return 0;
}
