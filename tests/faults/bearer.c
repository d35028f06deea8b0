/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries letters between the folders of two parties, badly: late, in another order, twice, and
 * some of them half before they are whole. It never loses one. bearer COORDINATOR_FOLDER
 * SITE_FOLDER SITE DELAY_MS SEED DELAY_MS: a letter waits up to so long, drawn. One in four is
 * brought a second time, ten times later. Started again, it brings all once more that are there
 * still. To hang or to be away it is stopped or killed. On standard output: number and bytes of
 * each of the site's letters, once.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LETTERS = 1 << 16, NAME = 128 };

/* A letter that was seen: when it is to be brought, and how often still. */
struct letter {
    char name[NAME];
    double due;
    int times;
    bool half, told; /* the first half is there; its size was told */
};

struct way {
    const char *from, *to;
    char begin[16]; /* of the names of its letters */
    size_t n, done; /* letters; those before `done` need nothing more */
    struct letter *letters;
};

static uint64_t state;
static double delay_s;

/* Of SplitMix64, from 0 to 1. */
static double draw(void) {
    uint64_t z = (state += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool is_known(const struct way *way, const char *name) {
    for (size_t i = way->n; i-- > 0;)
        if (strcmp(way->letters[i].name, name) == 0) return true;
    return false;
}

static void look(struct way *way) {
    DIR *folder = opendir(way->from);
    if (!folder) return;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        const char *name = entry->d_name;
        if (strncmp(name, way->begin, strlen(way->begin)) != 0 || strlen(name) >= NAME ||
            way->n == LETTERS || is_known(way, name))
            continue;
        struct letter *letter = &way->letters[way->n++];
        *letter =
            (struct letter){.due = seconds() + delay_s * draw(), .times = draw() < 0.25 ? 2 : 1};
        memcpy(letter->name, name, strlen(name) + 1);
    }
    closedir(folder);
}

/* The bytes of the letter's file into another, which is new or not; false: it is there no more. */
static bool copy(const struct way *way, struct letter *letter, const char *to, bool half) {
    static unsigned char bytes[5 << 20];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", way->from, letter->name);
    const int in = open(path, O_RDONLY | O_CLOEXEC);
    if (in < 0) return false;
    const ssize_t n = read(in, bytes, sizeof bytes);
    close(in);
    const int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (n < 0 || out < 0) exit(1);
    if (!letter->told && way->begin[0] != '0') {
        printf("%s %zd\n", strrchr(letter->name, '-') + 1, n);
        fflush(stdout);
    }
    letter->told = true;
    const size_t size = half ? (size_t)n / 2 : (size_t)n;
    if (write(out, bytes, size) != (ssize_t)size) exit(1);
    close(out);
    return true;
}

/* One in eight comes half first, under its own name; the others as rsync brings them. */
static void bring(const struct way *way, struct letter *letter) {
    char path[4096], hidden[4096];
    snprintf(path, sizeof path, "%s/%s", way->to, letter->name);
    snprintf(hidden, sizeof hidden, "%s/.%s.%06x", way->to, letter->name,
             (unsigned)(draw() * 0xffffff));
    const bool half = !letter->half && draw() < 0.125;
    bool there;
    if (half || letter->half) {
        there = copy(way, letter, path, half);
    } else {
        there = copy(way, letter, hidden, false);
        if (there && rename(hidden, path) != 0) exit(1);
    }
    letter->half = half && there;
    if (!there) letter->times = 0;
    if (there && !half) letter->times--;
    letter->due = seconds() + delay_s * draw() * (half ? 1 : 10);
}

static void carry(struct way *way) {
    look(way);
    const double now = seconds();
    for (size_t i = way->done; i < way->n; i++)
        if (way->letters[i].times > 0 && way->letters[i].due <= now) bring(way, &way->letters[i]);
    while (way->done < way->n && way->letters[way->done].times == 0)
        way->done++;
}

int main(int n_words, char **words) {
    const struct timespec pause = {.tv_nsec = 3000000};
    if (n_words != 6) return 64;
    struct way there = {.from = words[2], .to = words[1]},
               back = {.from = words[1], .to = words[2]};
    snprintf(there.begin, sizeof there.begin, "%d-0-", atoi(words[3]));
    snprintf(back.begin, sizeof back.begin, "0-%d-", atoi(words[3]));
    delay_s = atof(words[4]) / 1000;
    state = strtoull(words[5], NULL, 10);
    there.letters = calloc(LETTERS, sizeof *there.letters);
    back.letters = calloc(LETTERS, sizeof *back.letters);
    if (!there.letters || !back.letters) return 1;
    for (;;) {
        carry(&there);
        carry(&back);
        nanosleep(&pause, NULL);
    }
}
