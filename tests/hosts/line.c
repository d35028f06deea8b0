/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slow line between two TAP devices, for kernels without netem: frames wait for their turn at
 * the rate, then for the delay; those beyond a full queue are lost.
 *   line TAP_A TAP_B DELAY_MS RATE_MBIT
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { FRAMES = 2048, FRAME_MAX = 2048 };

struct way {
    int from, to;
    size_t first, n;  /* of a ring of frames */
    double line_free; /* when the last of them has left */
    struct {
        double due;
        size_t length;
        unsigned char bytes[FRAME_MAX];
    } frame[FRAMES];
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int open_tap(const char *name) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0) return fd;
    perror(name);
    exit(1);
}

static void take(struct way *way, double delay, double bytes_per_second) {
    unsigned char bytes[FRAME_MAX];
    ssize_t length;
    while ((length = read(way->from, bytes, sizeof bytes)) > 0) {
        double now = seconds();
        if (way->n == FRAMES) continue;
        size_t last = (way->first + way->n++) % FRAMES;
        if (way->line_free < now) way->line_free = now;
        way->line_free += (double)length / bytes_per_second;
        way->frame[last].due = way->line_free + delay;
        way->frame[last].length = (size_t)length;
        memcpy(way->frame[last].bytes, bytes, (size_t)length);
    }
}

/* Sends what is due; the seconds until the next is, or a long time. A device that is down loses it.
 */
static double give(struct way *way) {
    while (way->n > 0) {
        double wait = way->frame[way->first].due - seconds();
        if (wait > 0) return wait;
        ssize_t written =
            write(way->to, way->frame[way->first].bytes, way->frame[way->first].length);
        (void)written;
        way->first = (way->first + 1) % FRAMES;
        way->n--;
    }
    return 3600;
}

int main(int argc, char **argv) {
    static struct way way[2];
    if (argc != 5) return 64;
    int a = open_tap(argv[1]), b = open_tap(argv[2]);
    double delay = atof(argv[3]) / 1e3, rate = atof(argv[4]) * 1e6 / 8;
    way[0].from = way[1].to = a;
    way[1].from = way[0].to = b;
    while (true) {
        double wait = give(&way[0]), other = give(&way[1]);
        if (other < wait) wait = other;
        struct timespec limit = {.tv_sec = (time_t)wait,
                                 .tv_nsec = (long)(1e9 * (wait - (double)(time_t)wait))};
        struct pollfd poll[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
        if (ppoll(poll, 2, &limit, NULL) < 0) return 1;
        take(&way[0], delay, rate);
        take(&way[1], delay, rate);
    }
}
