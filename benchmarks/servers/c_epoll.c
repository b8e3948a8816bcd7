/* The limit: a bare epoll loop, one recv and one send for whatever has come.
 *
 * It does as little as can be done and still pass for a line server: it counts the newlines and
 * answers each, or sends the bytes back as they are. It keeps no lines and limits nothing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536, EVENTS = 512 };

static const char PONG[] = "+PONG\r\n";
static const size_t PONG_SIZE = sizeof PONG - 1;
static char in[CHUNK], pongs[CHUNK * (sizeof PONG - 1)];

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int epoll, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, fd);
    }
}

/* Send everything; a full socket is waited for, which the closed loops of the loads allow. */
static int send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) return -1;
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            poll(&room, 1, -1);
            continue;
        }
        data += sent;
        size -= sent;
    }
    return 0;
}

static size_t count_lines(const char *data, size_t size) {
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) lines += data[i] == '\n';
    return lines;
}

static void serve(int fd, int echo) {
    ssize_t size = recv(fd, in, sizeof in, 0);
    if (size < 0 && errno == EAGAIN) return;
    int failed = size <= 0;
    if (!failed && echo) failed = send_all(fd, in, size);
    if (!failed && !echo) failed = send_all(fd, pongs, count_lines(in, size) * PONG_SIZE);
    if (failed) close(fd);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: c_epoll PORT ping|echo\n");
        return 2;
    }
    int listener = listen_on(atoi(argv[1])), echo = !strcmp(argv[2], "echo");
    int epoll = epoll_create1(0);
    for (size_t i = 0; i < CHUNK; i++) memcpy(pongs + i * PONG_SIZE, PONG, PONG_SIZE);
    watch(epoll, listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all(epoll, listener);
            else serve(fd, echo);
        }
    }
}
