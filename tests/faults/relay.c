/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port that leads to another, as a link that can be cut.
 *   relay PORT TO CUT_BYTES DELAY_MS SEED
 * CUT_BYTES: each connection is cut, with a reset, after so many bytes at most, drawn; 0: not.
 * DELAY_MS: bytes wait up to so long, drawn. SIGUSR1 cuts all connections; whoever is to hang or to
 * be away is stopped or killed.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 64, AT_ONCE = 16384 };

struct pair {
    int fd[2]; /* the caller's, and to where it leads; -1: this place is free */
    long left; /* bytes until it is cut */
};

static volatile sig_atomic_t cut_all;
static uint64_t state;

static void told_to_cut(int signal) {
    (void)signal;
    cut_all = 1;
}

/* Of SplitMix64, below `most`. */
static long draw(long most) {
    uint64_t z = (state += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (long)((z ^ (z >> 31)) >> 1) % most;
}

static struct sockaddr_in loopback(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static int listen_at(int port) {
    const struct sockaddr_in at = loopback(port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 && listen(fd, PAIRS) == 0) return fd;
    perror("relay");
    exit(1);
}

/* Both ends get a reset: what was under way is lost. */
static void cut(struct pair *pair) {
    const struct linger at_once = {.l_onoff = 1};
    for (int end = 0; end < 2; end++) {
        setsockopt(pair->fd[end], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(pair->fd[end]);
        pair->fd[end] = -1;
    }
}

static void take_call(struct pair *pairs, int listener, int to, long cut_bytes) {
    const struct sockaddr_in there = loopback(to);
    struct pair *pair = pairs;
    while (pair < pairs + PAIRS && pair->fd[0] >= 0)
        pair++;
    const int caller = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    const int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (caller < 0) {
        close(other);
    } else if (pair == pairs + PAIRS ||
               connect(other, (const struct sockaddr *)&there, sizeof there) != 0) {
        close(caller);
        close(other);
    } else {
        *pair = (struct pair){{caller, other}, cut_bytes > 0 ? 1 + draw(cut_bytes) : 0};
    }
}

/* Takes bytes of one end to the other; false: the pair has ended. */
static bool pass(struct pair *pair, int end, long cut_bytes) {
    unsigned char bytes[AT_ONCE];
    size_t most = sizeof bytes;
    if (cut_bytes > 0 && (long)most > pair->left) most = (size_t)pair->left;
    const ssize_t n = recv(pair->fd[end], bytes, most, 0);
    if (n <= 0) return false;
    for (ssize_t done = 0; done < n;) {
        const ssize_t sent = send(pair->fd[!end], bytes + done, (size_t)(n - done), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        done += sent;
    }
    pair->left -= n;
    return cut_bytes == 0 || pair->left > 0;
}

static void doze(long ms) {
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

int main(int n_words, char **words) {
    static struct pair pairs[PAIRS];
    static struct pollfd on[2 * PAIRS + 1];
    if (n_words != 6) return 64;
    const int listener = listen_at(atoi(words[1])), to = atoi(words[2]);
    const long cut_bytes = atol(words[3]), delay_ms = atol(words[4]);
    state = strtoull(words[5], NULL, 10);
    struct sigaction on_cut = {.sa_handler = told_to_cut};
    sigaction(SIGUSR1, &on_cut, NULL);
    for (int i = 0; i < PAIRS; i++)
        pairs[i].fd[0] = pairs[i].fd[1] = -1;
    for (;;) {
        for (int i = 0; i < 2 * PAIRS; i++)
            on[i] = (struct pollfd){.fd = pairs[i / 2].fd[i % 2], .events = POLLIN};
        on[2 * PAIRS] = (struct pollfd){.fd = listener, .events = POLLIN};
        const int ready = poll(on, 2 * PAIRS + 1, -1);
        for (int i = 0; cut_all && i < PAIRS; i++)
            if (pairs[i].fd[0] >= 0) cut(&pairs[i]);
        if (cut_all || ready <= 0) {
            cut_all = 0;
            continue;
        }
        if (delay_ms > 0) doze(draw(delay_ms + 1));
        for (int i = 0; i < 2 * PAIRS; i++)
            if (on[i].revents && pairs[i / 2].fd[0] >= 0 && !pass(&pairs[i / 2], i % 2, cut_bytes))
                cut(&pairs[i / 2]);
        if (on[2 * PAIRS].revents) take_call(pairs, listener, to, cut_bytes);
    }
}
