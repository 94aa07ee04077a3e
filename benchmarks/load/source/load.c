/* A load source for HTTP/1.1: one thread, epoll, keep-alive connections, one JSON line of results.
 *
 *   load PORT TARGET CONNECTIONS SECONDS BODY_BYTES RATE MODE [HEADER...]
 *
 * RATE 0 is a closed loop: each connection sends its next request when it has its answer. Otherwise requests become
 * due at a constant rate over all connections, and latency counts from when a request was due, not from when a free
 * connection was found for it, so that a stalled server cannot hide behind a waiting client.
 * MODE "requests" counts answers; "json" does so with a chat completion as body, whose user differs on each request;
 * "events" opens a stream on each connection and counts the events ("~") that come.
 * Ten header lines, most of which differ on each request; HEADER lines are added. Every answer's status is checked. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 4096, EVENTS = 512, READ = 1 << 18, HEAD = 4096, SUB = 64, BUCKETS = 64 * SUB };

struct connection {
    int fd, busy, writing;
    char *out;               /* head and body of the request */
    size_t out_size, sent;
    uint64_t due;
    char head[HEAD];         /* of the answer, until it is complete */
    size_t head_size;
    int in_body, chunked;
    long left;
    char tail[8];            /* last bytes of a chunked answer */
};

static struct connection *connections;
static int loop, port, count, events_mode;
static size_t head_size, body_size;
static uint64_t answers, failures, marks, bytes_in, histogram[BUCKETS], reconnects;
static char template[HEAD], *scratch;
static size_t slot_person;
static size_t slot_user, slot_trace, slot_session, slot_token, slot_cookie, slot_agent;

static const char JSON[] =
    "{\"model\": \"m\", \"user\": \"PPPPPPPP\", \"messages\": [{\"role\": \"user\", \"content\": \"";

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static uint64_t draw(void) {
    static uint64_t state = 0x9E3779B97F4A7C15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Buckets of 1/64 of an octave of nanoseconds: 1.6 % wide. */
static void record(uint64_t ns) {
    int octave = ns < SUB ? 0 : 63 - __builtin_clzll(ns) - 6 + 1;
    uint64_t index = octave ? (uint64_t)octave * SUB + ((ns >> (octave - 1)) & (SUB - 1)) : ns;
    histogram[index < BUCKETS ? index : BUCKETS - 1]++;
}

static double bucket_us(int index) {
    int octave = index / SUB;
    double low = octave ? (double)((uint64_t)(SUB + index % SUB) << (octave - 1)) : index;
    double width = octave ? (double)(1ull << (octave - 1)) : 1;
    return (low + width / 2) / 1000;
}

static double percentile(double share) {
    uint64_t wanted = (uint64_t)(share * answers), seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > wanted) return bucket_us(i);
    }
    return 0;
}

static void hex(char *to, int digits) {
    static const char DIGITS[] = "0123456789abcdef";
    uint64_t value = 0;
    for (int i = 0; i < digits; i++) {
        if (i % 16 == 0) value = draw();
        to[i] = DIGITS[value & 15];
        value >>= 4;
    }
}

static void watch(struct connection *c, int writing) {
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &e);
    c->writing = writing;
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {5, 0}; /* of connect; everything else does not wait */
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(c->fd, (void *)&address, sizeof address)) {
        perror("load: connect");
        exit(1);
    }
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &e);
    c->busy = c->writing = c->in_body = 0;
    c->head_size = 0;
}

static void again(struct connection *c) {
    close(c->fd);
    reconnects++;
    open_connection(c);
}

static void write_out(struct connection *c) {
    while (c->sent < c->out_size) {
        ssize_t n = send(c->fd, c->out + c->sent, c->out_size - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno == EAGAIN) {
                if (!c->writing) watch(c, 1);
                return;
            }
            failures++;
            again(c);
            return;
        }
        c->sent += n;
    }
    if (c->writing) watch(c, 0);
}

static void send_request(struct connection *c, uint64_t due) {
    hex(c->out + slot_agent, 6);
    hex(c->out + slot_user, 8);
    hex(c->out + slot_trace, 32);
    hex(c->out + slot_session, 16);
    hex(c->out + slot_token, 64);
    hex(c->out + slot_cookie, 8);
    if (slot_person) hex(c->out + slot_person, 8);
    c->due = due;
    c->busy = 1;
    c->sent = 0;
    c->in_body = 0;
    c->head_size = 0;
    write_out(c);
}

/* 1 when the head is complete and `*used` bytes of the data belong to it, 0 to go on, -1 on a bad answer. */
static int read_head(struct connection *c, const char *data, size_t size, size_t *used) {
    size_t before = c->head_size, take = size < HEAD - before ? size : HEAD - before;
    memcpy(c->head + before, data, take);
    c->head_size += take;
    char *blank = memmem(c->head, c->head_size, "\r\n\r\n", 4);
    if (!blank) return c->head_size == HEAD ? -1 : 0;
    *used = blank + 4 - c->head - before;
    if (memcmp(c->head, "HTTP/1.1 200", 12) && memcmp(c->head, "HTTP/1.0 200", 12)) return -1;
    c->left = -1;
    c->chunked = 0;
    for (char *line = memchr(c->head, '\n', blank - c->head); line && line < blank; line = memchr(line, '\n', blank - line)) {
        line++;
        if ((*line | 32) == 'c' && !strncasecmp(line, "content-length:", 15)) c->left = atol(line + 15);
        if ((*line | 32) == 't' && !strncasecmp(line, "transfer-encoding:", 18)) c->chunked = 1;
    }
    memset(c->tail, 0, sizeof c->tail);
    return c->left < 0 && !c->chunked ? -1 : 1;
}

/* 1 when the answer is complete, 0 to go on, -1 on a bad one. */
static int read_answer(struct connection *c, const char *data, size_t size) {
    size_t used = 0;
    if (!c->in_body) {
        int done = read_head(c, data, size, &used);
        if (done <= 0) return done;
        c->in_body = 1;
    }
    data += used;
    size -= used;
    if (!c->chunked) {
        if ((long)size > c->left) return -1;
        c->left -= size;
        return c->left == 0;
    }
    for (size_t i = size > 5 ? size - 5 : 0; i < size; i++) {
        memmove(c->tail, c->tail + 1, 4);
        c->tail[4] = data[i];
    }
    return !memcmp(c->tail, "0\r\n\r\n", 5);
}

static void count_marks(const char *data, size_t size) {
    for (const char *end = data + size; (data = memchr(data, '~', end - data)); data++) marks++;
}

/* 1 when the connection is free for its next request. */
static int readable(struct connection *c, int counting) {
    ssize_t n = recv(c->fd, scratch, READ, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) {
        failures += c->busy;
        again(c);
        return 1;
    }
    if (counting) bytes_in += n;
    if (events_mode) {
        if (counting) count_marks(scratch, n);
        if (!c->in_body) {
            size_t used;
            int done = read_head(c, scratch, n, &used);
            if (done < 0) {
                fprintf(stderr, "load: bad answer: %.40s\n", c->head);
                exit(1);
            }
            c->in_body = done;
        }
        return 0;
    }
    int done = c->busy ? read_answer(c, scratch, n) : -1;
    if (done == 0) return 0;
    if (done < 0) {
        if (!failures++) fprintf(stderr, "load: bad answer: %.80s\n", c->head);
        again(c);
        return 1;
    }
    c->busy = 0;
    if (counting) {
        answers++;
        record(now_ns() - c->due);
    }
    return 1;
}

static size_t slot(const char *mark) { return strstr(template, mark) - template; }

int main(int argc, char **argv) {
    if (argc < 8) return 2;
    port = atoi(argv[1]);
    count = atoi(argv[3]);
    double seconds = atof(argv[4]), rate = atof(argv[6]);
    body_size = atol(argv[5]);
    events_mode = !strcmp(argv[7], "events");
    size_t json_size = strcmp(argv[7], "json") ? 0 : strlen(JSON);
    if (json_size && body_size < json_size + 4) return 2;
    if (count < 1 || count > CONNECTIONS) return 2;
    char extra[1024] = "";
    for (int i = 8; i < argc; i++) {
        strncat(extra, argv[i], sizeof extra - strlen(extra) - 3);
        strcat(extra, "\r\n");
    }
    char length[64] = "";
    if (body_size) snprintf(length, sizeof length, "Content-Length: %zu\r\n", body_size);
    head_size = snprintf(template, sizeof template,
        "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load/AAAAAA\r\nAccept: application/json\r\n"
        "Content-Type: application/json\r\n%sX-User-Id: UUUUUUUU\r\nX-Trace: TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT\r\n"
        "X-Session: SSSSSSSSSSSSSSSS\r\n"
        "Authorization: Bearer BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\r\n"
        "Cookie: uid=CCCCCCCC; theme=dark\r\n%s\r\n",
        body_size ? "POST" : "GET", argv[2], port, length, extra);
    slot_agent = slot("AAAAAA");
    slot_user = slot("UUUUUUUU");
    slot_trace = slot("TTTTTTTTTTTTTTTT");
    slot_session = slot("SSSSSSSS");
    slot_token = slot("BBBBBBBBBBBBBBBB");
    slot_cookie = slot("CCCCCCCC");
    scratch = malloc(READ);
    connections = calloc(count, sizeof *connections);
    loop = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        c->out_size = head_size + body_size;
        c->out = malloc(c->out_size);
        memcpy(c->out, template, head_size);
        memset(c->out + head_size, 'x', body_size);
        if (json_size) {
            memcpy(c->out + head_size, JSON, json_size);
            memcpy(c->out + c->out_size - 4, "\"}]}", 4);
            slot_person = head_size + (strstr(JSON, "PPPPPPPP") - JSON);
        }
        open_connection(c);
    }
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), issued = 0;
    int free_list[CONNECTIONS], free_count = 0;
    for (int i = 0; i < count; i++) {
        if (rate && !events_mode) free_list[free_count++] = i;
        else send_request(&connections[i], now_ns());
    }
    struct epoll_event events[EVENTS];
    for (;;) {
        uint64_t now = now_ns();
        if (now >= end) break;
        int wait = (end - now) / 1000000 + 1;
        if (rate && !events_mode) {
            uint64_t due = start + (uint64_t)(issued * 1e9 / rate);
            while (free_count && due <= now) {
                send_request(&connections[free_list[--free_count]], due);
                due = start + (uint64_t)(++issued * 1e9 / rate);
            }
            if (free_count) {
                struct timespec until = {0, due > now ? due - now : 0};
                if (until.tv_nsec > 900000000) until.tv_nsec = 900000000;
                int n = epoll_pwait2(loop, events, EVENTS, &until, NULL);
                for (int i = 0; i < n; i++) {
                    struct connection *c = events[i].data.ptr;
                    if (events[i].events & EPOLLOUT) write_out(c);
                    if (events[i].events & ~EPOLLOUT && readable(c, 1)) free_list[free_count++] = c - connections;
                }
                continue;
            }
        }
        int n = epoll_wait(loop, events, EVENTS, wait);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) write_out(c);
            if (!(events[i].events & ~EPOLLOUT) || !readable(c, 1)) continue;
            if (rate && !events_mode) free_list[free_count++] = c - connections;
            else send_request(c, now_ns());
        }
    }
    double took = (now_ns() - start) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"seconds\": %.6f, \"answers\": %llu, \"events\": %llu, \"bytes\": %llu, \"failures\": %llu, \"reconnects\": %llu, "
           "\"cpu_seconds\": %.6f, \"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f}\n",
           took, (unsigned long long)answers, (unsigned long long)marks, (unsigned long long)bytes_in,
           (unsigned long long)failures, (unsigned long long)reconnects, cpu, percentile(0.5), percentile(0.9),
           percentile(0.99), percentile(0.999));
    return 0;
}
