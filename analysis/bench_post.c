/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters over https on the loopback, between a coordinator and three sites, a process each:
 * the time of a small letter there and back; the seconds for 100 MB from each site at once, and for
 * 100 MB to each, in letters of several sizes, against libcurl alone that uploads and downloads the
 * same bytes in one request each, by the same TLS, to and from the same server library.
 *
 *   bench_post [MEGABYTES]
 *   bench_post idle [SECONDS]   processor time and memory of a coordinator and a site that wait
 *
 * Letters are made before the clock starts: sealing is the post's, not the carrier's. Each figure
 * is the median of five.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_https.h"
#include "post/carrier.h"
#include "post/letter.h"

enum { SITES = 3, PARTIES = SITES + 1, REPETITIONS = 5, ECHOES = 1000, SMALL = 64 };

static const size_t letter_sizes[] = {4 << 10, 256 << 10, 4 << 20};
enum { N_SIZES = sizeof letter_sizes / sizeof *letter_sizes };

/* ---- a party's end --------------------------------------------------------------------------- */

/* The carrier wakes the thread that waits. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t something = PTHREAD_COND_INITIALIZER;
static unsigned long notices;

static void wake(void *context) {
    (void)context;
    pthread_mutex_lock(&lock);
    notices++;
    pthread_cond_signal(&something);
    pthread_mutex_unlock(&lock);
}

static void await_notice(unsigned long seen) {
    pthread_mutex_lock(&lock);
    while (notices == seen)
        pthread_cond_wait(&something, &lock);
    pthread_mutex_unlock(&lock);
}

static unsigned long seen_notices(void) {
    pthread_mutex_lock(&lock);
    const unsigned long n = notices;
    pthread_mutex_unlock(&lock);
    return n;
}

static struct gr_letter *take(struct gr_carrier *carrier) {
    for (;;) {
        struct gr_letter *letter = NULL;
        const unsigned long seen = seen_notices();
        CHECK(carrier->kind->take(carrier, &letter));
        if (letter) return letter;
        await_notice(seen);
    }
}

static struct gr_letter *make(uint32_t from, uint32_t to, size_t bytes) {
    static const unsigned char seal[GR_KEY_BYTES] = "of no importance here";
    struct gr_letter *letter = NULL;
    const struct gr_letter_head head = {.label = {.from = from, .to = to, .counter = 1},
                                        .kind = GR_LETTER_MESSAGE};
    CHECK(gr_letter_create(0, bytes, &letter));
    memset(gr_letter_body(letter), 7, bytes);
    gr_letter_seal(letter, head, 0, seal, keys[from], study);
    letter->label = head.label;
    return letter;
}

/* Copies of one letter, in a list, for its bytes to add up to the total. */
static struct gr_letter *make_many(uint32_t from, uint32_t to, size_t bytes) {
    struct gr_letter *first = NULL, *original = make(from, to, bytes);
    for (size_t done = 0; done < total; done += bytes) {
        struct gr_letter *copy = NULL;
        CHECK(gr_allocate(1, sizeof *copy + original->n, "a copy", &copy));
        memcpy(copy, original, sizeof *copy + original->n);
        copy->next = first;
        first = copy;
    }
    gr_free(original);
    return first;
}

/* Puts as many as there is room for. */
static void put_some(struct gr_carrier *carrier, uint32_t to, struct gr_letter **list) {
    while (*list && carrier->kind->room(carrier, to) >= (*list)->n) {
        struct gr_letter *letter = *list;
        *list = letter->next;
        letter->next = NULL;
        CHECK(carrier->kind->put(carrier, letter));
    }
}

static size_t letters_of(size_t bytes) {
    return (total + bytes - 1) / bytes;
}

/* ---- a site ---------------------------------------------------------------------------------- */

static void say(struct gr_carrier *carrier, uint32_t from, uint32_t to) {
    CHECK(carrier->kind->put(carrier, make(from, to, SMALL)));
}

static void site_letters(struct gr_carrier *carrier, uint32_t me, size_t bytes) {
    struct gr_letter *list = make_many(me, 0, bytes);
    say(carrier, me, 0);    /* ready */
    gr_free(take(carrier)); /* go */
    while (list) {
        const unsigned long seen = seen_notices();
        put_some(carrier, 0, &list);
        if (list) await_notice(seen);
    }
    for (size_t i = 0; i < letters_of(bytes); i++)
        gr_free(take(carrier));
    say(carrier, me, 0);
}

static void site_plain(struct gr_carrier *carrier, uint32_t me, CURL *easy,
                       const struct calling *calling, bool up) {
    say(carrier, me, 0);
    gr_free(take(carrier));
    plain_call(easy, calling, up);
    say(carrier, me, 0);
}

static void site(uint32_t me, int from_parent) {
    struct calling calling;
    struct gr_carrier *carrier = NULL;
    const struct gr_carrier_options options = options_of(me);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    INSIST(read(from_parent, &calling, sizeof calling) == sizeof calling);
    const struct gr_https_client settings = {.url = calling.url, .pin = calling.pin, .proxy = ""};
    CHECK(gr_carrier_open_https_client(&options, &settings, &carrier));
    gr_carrier_listen(carrier, wake, NULL);
    say(carrier, me, 0);
    for (int i = 0; me == 1 && i < ECHOES; i++) {
        gr_free(take(carrier));
        say(carrier, me, 0);
    }
    gr_free(take(carrier)); /* the echoes are done */
    CURL *easy = curl_easy_init();
    plain_call(easy, &calling, false); /* the connection is there, as ours is */
    for (int r = 0; r < REPETITIONS; r++) {
        site_plain(carrier, me, easy, &calling, true);
        site_plain(carrier, me, easy, &calling, false);
        for (size_t s = 0; s < N_SIZES; s++)
            site_letters(carrier, me, letter_sizes[s]);
    }
    curl_easy_cleanup(easy);
    gr_carrier_close(carrier);
    exit(0);
}

/* ---- the coordinator ------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *values, size_t n) {
    qsort(values, n, sizeof *values, ascending);
    return values[n / 2];
}

/* A word from each site: a fast one may say the next before a slow one has said this. */
static void await_sites(struct gr_carrier *carrier) {
    static unsigned said[PARTIES];
    for (uint32_t s = 1; s <= SITES; s++) {
        while (said[s] == 0) {
            struct gr_letter *letter = take(carrier);
            said[letter->label.from]++;
            gr_free(letter);
        }
        said[s]--;
    }
}
static void say_all(struct gr_carrier *carrier) {
    for (uint32_t s = 1; s <= SITES; s++)
        say(carrier, 0, s);
}

static void measure_echoes(struct gr_carrier *carrier) {
    static double seconds[ECHOES];
    for (int i = 0; i < ECHOES; i++) {
        const double begin = gr_clock_seconds();
        say(carrier, 0, 1);
        gr_free(take(carrier));
        seconds[i] = gr_clock_seconds() - begin;
    }
    const double middle = median(seconds, ECHOES);
    printf("a letter of %d bytes down and its answer up: %.3f ms, of 100 the slowest %.3f ms\n",
           (int)SMALL, 1e3 * middle, 1e3 * seconds[ECHOES * 99 / 100]);
}

static void measure_letters(struct gr_carrier *carrier, size_t bytes, double *up, double *down) {
    struct gr_letter *lists[SITES];
    for (uint32_t s = 0; s < SITES; s++)
        lists[s] = make_many(0, s + 1, bytes);
    await_sites(carrier);
    double begin = gr_clock_seconds();
    say_all(carrier);
    for (size_t i = 0; i < SITES * letters_of(bytes); i++)
        gr_free(take(carrier));
    *up = gr_clock_seconds() - begin;
    begin = gr_clock_seconds();
    for (bool left = true; left;) {
        const unsigned long seen = seen_notices();
        left = false;
        for (uint32_t s = 0; s < SITES; s++) {
            put_some(carrier, s + 1, &lists[s]);
            left |= lists[s] != NULL;
        }
        if (left) await_notice(seen);
    }
    await_sites(carrier);
    *down = gr_clock_seconds() - begin;
}

static double measure_plain(struct gr_carrier *carrier) {
    await_sites(carrier);
    const double begin = gr_clock_seconds();
    say_all(carrier);
    await_sites(carrier);
    return gr_clock_seconds() - begin;
}

/* In turn, so that all have the same machine. */
static void coordinate(struct gr_carrier *carrier) {
    static double up[N_SIZES][REPETITIONS], down[N_SIZES][REPETITIONS];
    double plain_up[REPETITIONS], plain_down[REPETITIONS];
    await_sites(carrier);
    measure_echoes(carrier);
    say_all(carrier);
    for (int r = 0; r < REPETITIONS; r++) {
        plain_up[r] = measure_plain(carrier);
        plain_down[r] = measure_plain(carrier);
        for (size_t s = 0; s < N_SIZES; s++)
            measure_letters(carrier, letter_sizes[s], &up[s][r], &down[s][r]);
    }
    const double pu = median(plain_up, REPETITIONS), pd = median(plain_down, REPETITIONS);
    printf("%zu MB for each of %d sites at once, seconds   up     down\n", total >> 20, (int)SITES);
    printf("  libcurl alone                             %6.3f  %6.3f\n", pu, pd);
    for (size_t s = 0; s < N_SIZES; s++) {
        const double u = median(up[s], REPETITIONS), d = median(down[s], REPETITIONS);
        printf("  letters of %4zu KB                        %6.3f  %6.3f   times libcurl alone: "
               "%.2f, %.2f\n",
               letter_sizes[s] >> 10, u, d, u / pu, d / pd);
    }
}

static void print_processor(void) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0) {
            printf("processor%s", strchr(line, ':'));
            break;
        }
    if (file) fclose(file);
    printf("%ld cores\n", sysconf(_SC_NPROCESSORS_ONLN));
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void print_idle(const char *who, double seconds) {
    const double begin = gr_clock_cpu_seconds();
    struct rusage used;
    sleep((unsigned)seconds);
    getrusage(RUSAGE_SELF, &used);
    printf("%s that waits: %.3f %% of a core, %.1f MiB at most\n", who,
           100 * (gr_clock_cpu_seconds() - begin) / seconds, (double)used.ru_maxrss / 1024);
}

static void idle(double seconds, struct calling *calling, int to_site[SITES][2]) {
    const struct gr_carrier_options options = options_of(0);
    const struct gr_https_server settings = {.address = "127.0.0.1:0", .directory = scratch};
    struct gr_carrier *carrier = NULL;
    if (fork() == 0) {
        const struct gr_carrier_options mine = options_of(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        INSIST(read(to_site[0][0], calling, sizeof *calling) == sizeof *calling);
        const struct gr_https_client call = {.url = calling->url, .pin = calling->pin, .proxy = ""};
        CHECK(gr_carrier_open_https_client(&mine, &call, &carrier));
        sleep(2);
        print_idle("a site", seconds);
        fflush(stdout);
        _exit(0);
    }
    CHECK(gr_carrier_open_https_server(&options, &settings, &carrier));
    snprintf(calling->url, sizeof calling->url, "https://127.0.0.1:%d",
             gr_https_server_port(carrier));
    gr_https_server_pin(carrier, calling->pin, sizeof calling->pin);
    INSIST(write(to_site[0][1], calling, sizeof *calling) == sizeof *calling);
    sleep(2);
    print_idle("the coordinator of it", seconds);
    while (wait(NULL) > 0)
        continue;
    gr_carrier_close(carrier);
}

int main(int argc, char **argv) {
    struct calling calling = {0};
    int to_site[SITES][2];
    CHECK(gr_base_start());
    make_study(PARTIES);
    print_processor();
    fflush(stdout);
    for (int s = 0; s < SITES; s++)
        INSIST(pipe(to_site[s]) == 0);
    if (argc > 1 && strcmp(argv[1], "idle") == 0) {
        idle(argc > 2 ? atof(argv[2]) : 60, &calling, to_site);
        remove_study();
        return 0;
    }
    total = (size_t)(argc > 1 ? atol(argv[1]) : 100) << 20;
    plenty = calloc(1, total + (1 << 20));
    INSIST(plenty);
    for (uint32_t s = 0; s < SITES; s++)
        if (fork() == 0) site(s + 1, to_site[s][0]);
    const struct gr_carrier_options options = options_of(0);
    const struct gr_https_server settings = {.address = "127.0.0.1:0", .directory = scratch};
    struct gr_carrier *carrier = NULL;
    CHECK(gr_carrier_open_https_server(&options, &settings, &carrier));
    gr_carrier_listen(carrier, wake, NULL);
    snprintf(calling.url, sizeof calling.url, "https://127.0.0.1:%d",
             gr_https_server_port(carrier));
    gr_https_server_pin(carrier, calling.pin, sizeof calling.pin);
    struct MHD_Daemon *plain = plain_open(&calling);
    for (int s = 0; s < SITES; s++)
        INSIST(write(to_site[s][1], &calling, sizeof calling) == sizeof calling);
    coordinate(carrier);
    while (wait(NULL) > 0)
        continue;
    gr_carrier_close(carrier);
    MHD_stop_daemon(plain);
    free(plenty);
    remove_study();
    return 0;
}
