/* A static HTTP/1.1 upstream for benchmarks: one thread, epoll, answers made once.
 *
 *   upstream PORT
 *
 * The target's last letter chooses the answer: "s" 200 bytes, "l" 64 KiB, "e" a stream of events, one every 5 ms for
 * each connection (connections take turns by the millisecond, as streams do in practice) until the client leaves.
 * Heads are trusted to be well-formed: this is a peer of a benchmark, not a server. */
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
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { BUFFER = 1 << 17, CONNECTIONS = 16384, EVENTS = 512, PERIOD_MS = 5 };

struct connection {
    int fd, streaming, chunked;
    long body_left;      /* of the request */
    size_t have;         /* bytes of an unfinished head */
    char *head;          /* allocated when a head comes in pieces */
    const char *out;
    size_t out_left;
};

static struct connection *connections[CONNECTIONS];
static char small_answer[512], *large_answer;
static size_t small_size, large_size;
static char *scratch;
static int loop, streams, fd_max;

static const char CONTENT[] = "data: {\"token\": \"~ one token of an answer\"}\n\n";
static char event[128];
static size_t event_size;
static const char EVENTS_HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n";

static void leave(struct connection *c) {
    streams -= c->streaming;
    connections[c->fd] = NULL;
    close(c->fd);
    free(c->head);
    free(c);
}

/* 0 when the connection is gone. */
static int flush(struct connection *c) {
    while (c->out_left) {
        ssize_t n = send(c->fd, c->out, c->out_left, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) {
                struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.fd = c->fd};
                epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &e);
                return 1;
            }
            leave(c);
            return 0;
        }
        c->out += n;
        c->out_left -= n;
    }
    return 1;
}

static int answer(struct connection *c, char kind) {
    if (kind == 'e') {
        c->streaming = 1;
        streams++;
        c->out = EVENTS_HEAD;
        c->out_left = sizeof EVENTS_HEAD - 1;
    } else {
        c->out = kind == 'l' ? large_answer : small_answer;
        c->out_left = kind == 'l' ? large_size : small_size;
    }
    return flush(c);
}

static long content_length(const char *head, const char *end, int *chunked) {
    *chunked = 0;
    long length = 0;
    for (const char *line = memchr(head, '\n', end - head); line && line + 18 < end; line = memchr(line, '\n', end - line)) {
        line++;
        if ((*line | 32) == 'c' && !strncasecmp(line, "content-length:", 15)) length = atol(line + 15);
        if ((*line | 32) == 't' && !strncasecmp(line, "transfer-encoding:", 18)) *chunked = 1;
    }
    return length;
}

/* The kind of answer owed once the body is read; kept across reads in body_kind. */
static char body_kind[CONNECTIONS];

static void readable(struct connection *c) {
    ssize_t n = recv(c->fd, scratch + c->have, BUFFER - c->have - 1, 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) return;
        leave(c);
        return;
    }
    if (c->have) memcpy(scratch, c->head, c->have);
    char *p = scratch, *end = scratch + c->have + n;
    c->have = 0;
    while (p < end) {
        if (c->chunked) { /* the last chunk is looked for at the end of what came: clients here wait for the answer */
            if (end - p >= 5 && !memcmp(end - 5, "0\r\n\r\n", 5)) {
                c->chunked = 0;
                p = end;
                if (!answer(c, body_kind[c->fd])) return;
            }
            return;
        }
        if (c->body_left) {
            long take = end - p < c->body_left ? end - p : c->body_left;
            p += take;
            c->body_left -= take;
            if (c->body_left == 0 && !answer(c, body_kind[c->fd])) return;
            continue;
        }
        char *blank = memmem(p, end - p, "\r\n\r\n", 4);
        if (!blank) {
            c->have = end - p;
            if (!c->head) c->head = malloc(BUFFER);
            memmove(c->head, p, c->have);
            return;
        }
        char *target = memchr(p, ' ', blank - p);
        char *target_end = target ? memchr(target + 1, ' ', blank - target - 1) : NULL;
        if (!target_end) {
            leave(c);
            return;
        }
        body_kind[c->fd] = target_end[-1];
        c->body_left = content_length(p, blank + 2, &c->chunked);
        p = blank + 4;
        if (!c->body_left && !c->chunked && !answer(c, body_kind[c->fd])) return;
    }
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        connections[fd] = c;
        if (fd > fd_max) fd_max = fd;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = c->fd};
        epoll_ctl(loop, EPOLL_CTL_ADD, fd, &e);
    }
}

static void tick(int timer) {
    static unsigned now;
    uint64_t ticks;
    if (read(timer, &ticks, sizeof ticks) != sizeof ticks) return;
    if (ticks > PERIOD_MS) ticks = PERIOD_MS;
    while (ticks--) {
        now++;
        for (int fd = 0; fd <= fd_max; fd++) {
            struct connection *c = connections[fd];
            if (c && c->streaming && (now + fd) % PERIOD_MS == 0 && !c->out_left) {
                c->out = event;
                c->out_left = event_size;
                flush(c);
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    scratch = malloc(BUFFER);
    event_size = snprintf(event, sizeof event, "%zx\r\n%s\r\n", sizeof CONTENT - 1, CONTENT);
    /* A chat completion of 200 bytes, because some proxies read what they pass on. */
    char body[256], content[200];
    memset(content, 'x', sizeof content);
    const char *form = "{\"id\":\"1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
                       "\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"%.*s\"}}]}";
    int rest = 200 - snprintf(body, sizeof body, form, 0, "");
    snprintf(body, sizeof body, form, rest, content);
    small_size = snprintf(small_answer, sizeof small_answer,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n"
                          "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n%.200s", body);
    large_answer = malloc(70000);
    large_size = snprintf(large_answer, 70000,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 65536\r\n\r\n");
    memset(large_answer + large_size, 'x', 65536);
    large_size += 65536;

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("upstream: listen");
        return 1;
    }
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct itimerspec period = {{0, 1000000}, {0, 1000000}}, off = {{0, 0}, {0, 0}};
    loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &e);
    e.data.fd = timer;
    epoll_ctl(loop, EPOLL_CTL_ADD, timer, &e);
    int ticking = 0;
    for (;;) {
        if ((streams > 0) != ticking) { /* no wake-ups while nobody streams: they would disturb other workloads */
            ticking = streams > 0;
            timerfd_settime(timer, 0, ticking ? &period : &off, NULL);
        }
        int n = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener) {
                accept_all(listener);
            } else if (events[i].data.fd == timer) {
                tick(timer);
            } else {
                struct connection *c = connections[events[i].data.fd];
                if (!c) continue; /* left earlier in this batch */
                if (events[i].events & EPOLLOUT) {
                    if (!flush(c)) continue;
                    if (!c->out_left) {
                        struct epoll_event in = {.events = EPOLLIN, .data.fd = c->fd};
                        epoll_ctl(loop, EPOLL_CTL_MOD, c->fd, &in);
                    }
                }
                if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
            }
        }
    }
}
