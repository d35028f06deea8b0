/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines on a disk that is full: a limit on the size of files refuses them as a full disk does, in
 * the middle of a line too; what no limit can do (a sync that is refused, a file system that never
 * writes in place) is done by stand-ins for the system's calls.
 */
#include <granary/observe.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "observe/lines.h"
#include "observe/metrics.h"
#include "scratch.h"

/* ---- a disk that refuses -------------------------------------------------------------------- */

static int sync_error, write_error; /* to be given; 0: none */
static int writes_to_pass;          /* before write_error is given */

int fsync(int fd) {
    if (sync_error == 0) return (int)syscall(SYS_fsync, fd);
    errno = sync_error;
    return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) {
    if (write_error == 0 || writes_to_pass-- > 0) return syscall(SYS_pwrite64, fd, bytes, n, at);
    errno = write_error;
    return -1;
}

/* Only round the calls that are tested: what a test says goes through a file as well. */
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0) abort();
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) abort();
}

#define WITH_ROOM(bytes, call)                                                                     \
    do {                                                                                           \
        limit_files(bytes);                                                                        \
        gr_status outcome_ = (call);                                                               \
        limit_files(RLIM_INFINITY);                                                                \
        ck_assert_msg(outcome_ == GR_OK, "%s: %s", #call, gr_message());                           \
    } while (0)

static const char *file(void) {
    return in_scratch("lines");
}

static void expect(const char *text) {
    char *found = slurp(file(), NULL);
    ck_assert_str_eq(found, text);
    gr_free(found);
    ck_assert(!exists(in_scratch("lines.tmp")));
}

/* With the first n bytes of the file, which are lines. */
static gr_status open_with(size_t n, struct gr_lines **out) {
    struct gr_lines_reader *reader;
    struct gr_lines_kept kept = {0};
    MUST(gr_lines_start(file(), &reader));
    if (n > 0) MUST(gr_lines_keep(&kept, 0, n));
    gr_status status = gr_lines_open(file(), reader, &kept, out);
    gr_free(kept.ranges);
    gr_lines_end(reader);
    return status;
}

static struct gr_lines *opened(const char *text) {
    struct gr_lines *lines;
    if (strlen(text) > 0) spill(file(), text, strlen(text));
    MUST(open_with(strlen(text), &lines));
    expect(text);
    return lines;
}

static gr_status append(struct gr_lines *lines, const char *line) {
    return gr_lines_append(lines, line, strlen(line));
}

static gr_status replace(struct gr_lines *lines, const char *line) {
    return gr_lines_replace_last(lines, line, strlen(line));
}

/* ---- appending ------------------------------------------------------------------------------ */

START_TEST(lines_wait_for_room) {
    struct gr_lines *lines = opened("one\n");
    MUST(append(lines, "two\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 0);
    for (rlim_t room = 8; room < 14; room++) {
        /* Whatever part of it fits. */
        WITH_ROOM(room, append(lines, "three\n"));
        ck_assert_uint_eq(gr_lines_behind(lines), room - 7);
        expect("one\ntwo\n");
    }
    /* Room for one of them and a part of the next. */
    WITH_ROOM(17, append(lines, "four\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 6);
    expect("one\ntwo\nthree\n");
    WITH_ROOM(17, gr_lines_sync(lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 6);
    MUST(append(lines, "five\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 0);
    expect("one\ntwo\nthree\nthree\nthree\nthree\nthree\nthree\nfour\nfive\n");
    gr_lines_close(lines);
}
END_TEST

/* A sync and the close try as well. */
START_TEST(written_by_sync_and_close) {
    struct gr_lines *lines = opened("");
    WITH_ROOM(1, append(lines, "one\n"));
    expect("");
    MUST(gr_lines_sync(lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 0);
    expect("one\n");
    WITH_ROOM(5, append(lines, "two\n"));
    gr_lines_close(lines);
    expect("one\ntwo\n");
}
END_TEST

/* What waits has a bound; what stands in the file has none. */
START_TEST(waiting_is_bounded) {
    enum { MIB = 1 << 20 };
    struct gr_lines *lines;
    char *line = malloc(MIB);
    memset(line, 'x', MIB);
    line[MIB - 1] = '\n';
    spill(file(), line, MIB);
    MUST(open_with(MIB, &lines));
    for (int i = 0; i < 3; i++)
        MUST(gr_lines_append(lines, line, MIB));
    for (int i = 0; i < 64; i++)
        WITH_ROOM(5 * MIB - 1, gr_lines_append(lines, line, MIB));
    ck_assert_uint_eq(gr_lines_behind(lines), 64);
    limit_files(5 * MIB - 1);
    gr_status status = gr_lines_append(lines, line, MIB);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(status, GR_ERROR_WRITE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "64 lines wait, allowed 64 MiB"));
    WITH_ROOM(20 * MIB, gr_lines_sync(lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 48);
    MUST(gr_lines_sync(lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 0);
    gr_lines_close(lines);
    struct stat info;
    ck_assert_int_eq(stat(file(), &info), 0);
    ck_assert_int_eq(info.st_size, 68 * MIB);
    free(line);
}
END_TEST

/* Anything but want of room is told at once. */
START_TEST(other_failures) {
    struct gr_lines *lines = opened("one\n");
    write_error = EIO;
    writes_to_pass = 0;
    ck_assert_int_eq(append(lines, "two\n"), GR_ERROR_WRITE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "Input/output error"));
    write_error = 0;
    expect("one\n");
    sync_error = EIO;
    ck_assert_int_eq(gr_lines_sync(lines), GR_ERROR_WRITE);
    sync_error = 0;
    gr_lines_close(lines);
}
END_TEST

/* ---- a sync that tells of want of room ------------------------------------------------------ */

START_TEST(refused_sync) {
    struct gr_lines *lines = opened("one\n");
    MUST(append(lines, "two\n"));
    MUST(gr_lines_sync(lines));
    MUST(append(lines, "three\n"));
    MUST(append(lines, "four\n"));
    sync_error = EDQUOT;
    MUST(gr_lines_sync(lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 2);
    expect("one\ntwo\n");
    MUST(gr_lines_sync(lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 2);
    sync_error = 0;
    MUST(append(lines, "five\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 0);
    expect("one\ntwo\nthree\nfour\nfive\n");
    MUST(gr_lines_sync(lines));
    expect("one\ntwo\nthree\nfour\nfive\n");
    /* A line that was on disk, and has been replaced since. */
    MUST(replace(lines, "5\n"));
    sync_error = ENOSPC;
    MUST(gr_lines_sync(lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 1);
    sync_error = 0;
    gr_lines_close(lines);
    expect("one\ntwo\nthree\nfour\n5   \n");
}
END_TEST

/* What was never synced is kept, but not all of a long run. */
START_TEST(unsynced_is_bounded) {
    enum { LINES = 3000 };
    struct gr_lines *lines = opened("");
    char line[1024], last[64];
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "%01000d\n", i);
        MUST(append(lines, line));
    }
    sync_error = ENOSPC;
    MUST(gr_lines_sync(lines));
    sync_error = 0;
    ck_assert_uint_ge(gr_lines_behind(lines), 1);
    ck_assert_uint_le(gr_lines_behind(lines), 1050);
    gr_lines_close(lines);
    size_t length;
    char *text = slurp(file(), &length);
    ck_assert_uint_eq(length, 1001 * LINES);
    snprintf(last, sizeof last, "%d\n", LINES - 1);
    ck_assert_str_eq(text + length - strlen(last), last);
    gr_free(text);
}
END_TEST

/* ---- the last line anew --------------------------------------------------------------------- */

START_TEST(replaced_while_waiting) {
    struct gr_lines *lines = opened("one\n");
    WITH_ROOM(5, append(lines, "two\n"));
    WITH_ROOM(5, append(lines, "three\n"));
    WITH_ROOM(5, replace(lines, "a longer three\n"));
    WITH_ROOM(5, replace(lines, "3\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 2);
    expect("one\n");
    MUST(replace(lines, "third\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 0);
    expect("one\ntwo\nthird\n");
    MUST(replace(lines, "3\n"));
    expect("one\ntwo\n3    \n");
    gr_lines_close(lines);
}
END_TEST

/* With room for a part of it the line stays as it was. */
START_TEST(replacement_refused) {
    struct gr_lines *lines = opened("one\n");
    MUST(append(lines, "two\n"));
    for (int synced = 0; synced < 2; synced++) {
        WITH_ROOM(10, replace(lines, "two, longer\n"));
        ck_assert_uint_eq(gr_lines_behind(lines), 0);
        expect("one\ntwo\n");
        MUST(gr_lines_sync(lines));
    }
    WITH_ROOM(8, replace(lines, "2.0\n"));
    expect("one\n2.0\n");
    MUST(append(lines, "three\n"));
    expect("one\n2.0\nthree\n");
    gr_lines_close(lines);
}
END_TEST

/* Where nothing can be written in place, not even what stood there, it is taken out and waits. */
START_TEST(never_in_place) {
    struct gr_lines *lines = opened("one\n");
    MUST(append(lines, "two\n"));
    MUST(gr_lines_sync(lines));
    write_error = ENOSPC;
    writes_to_pass = 0;
    MUST(replace(lines, "2.00\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 1);
    expect("one\n");
    sync_error = ENOSPC;
    MUST(gr_lines_sync(lines));
    sync_error = 0;
    ck_assert_uint_eq(gr_lines_behind(lines), 1);
    MUST(gr_lines_sync(lines));
    MUST(append(lines, "three\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 2);
    write_error = 0;
    MUST(gr_lines_sync(lines));
    expect("one\ntwo\nthree\n");
    gr_lines_close(lines);
}
END_TEST

/* ---- opening -------------------------------------------------------------------------------- */

static ino_t inode_of(const char *path) {
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    return info.st_ino;
}

START_TEST(always_anew) {
    struct gr_lines *former = opened("one\n"), *lines;
    MUST(append(former, "two\n"));
    ino_t before = inode_of(file());
    MUST(open_with(8, &lines));
    expect("one\ntwo\n");
    ck_assert_uint_ne(inode_of(file()), before);
    MUST(replace(former, "zwei\n"));
    MUST(append(former, "drei\n"));
    expect("one\ntwo\n");
    MUST(append(lines, "three\n"));
    gr_lines_close(former);
    gr_lines_close(lines);
    expect("one\ntwo\nthree\n");
}
END_TEST

/* One that fell asleep while it made the file anew has its temporary file taken away. */
START_TEST(sleeper_s_temporary) {
    int fd = open(in_scratch("lines.tmp"), O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    struct gr_lines *lines = opened("one\n");
    ck_assert_int_eq((int)write(fd, "asleep\n", 7), 7);
    close(fd);
    ck_assert_int_ne(rename(in_scratch("lines.tmp"), file()), 0);
    ck_assert_int_eq(errno, ENOENT);
    gr_lines_close(lines);
    expect("one\n");
}
END_TEST

/* The former file stays until there is room for a new one. */
START_TEST(opened_on_a_full_disk) {
    struct gr_lines *lines;
    spill(file(), "one\ntwo\nthree\n", 14);
    ino_t before = inode_of(file());
    WITH_ROOM(5, open_with(8, &lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 0);
    WITH_ROOM(5, append(lines, "3\n"));
    WITH_ROOM(5, replace(lines, "3.0\n"));
    WITH_ROOM(5, gr_lines_sync(lines));
    ck_assert_uint_eq(gr_lines_behind(lines), 1);
    expect("one\ntwo\nthree\n");
    ck_assert_uint_eq(inode_of(file()), before);
    MUST(append(lines, "4\n"));
    ck_assert_uint_eq(gr_lines_behind(lines), 0);
    expect("one\ntwo\n3.0\n4\n");
    ck_assert_uint_ne(inode_of(file()), before);
    MUST(append(lines, "5\n"));
    gr_lines_close(lines);
    expect("one\ntwo\n3.0\n4\n5\n");
    /* What goes on waiting to the end is lost, and the former file is whole. */
    WITH_ROOM(5, open_with(8, &lines));
    limit_files(5);
    gr_status status = append(lines, "6\n");
    gr_lines_close(lines);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(status, GR_OK);
    expect("one\ntwo\n3.0\n4\n5\n");
}
END_TEST

/* ---- reading -------------------------------------------------------------------------------- */

/* Expects the lines of a file, each followed by a bar. */
static void expect_lines(const char *want, bool torn) {
    struct gr_lines_reader *reader;
    char found[256] = "";
    const char *line;
    size_t n;
    MUST(gr_lines_start(file(), &reader));
    for (;;) {
        MUST(gr_lines_next(reader, &line, &n));
        if (!line) break;
        ck_assert_uint_lt(strlen(found) + n + 2, sizeof found);
        strncat(found, line, n);
        strcat(found, "|");
    }
    ck_assert_str_eq(found, want);
    ck_assert_int_eq(gr_lines_torn(reader), torn);
    gr_lines_end(reader);
}

START_TEST(lines_are_read) {
    expect_lines("", false); /* no file */
    spill(file(), "one\n\ntwo\nthr", 12);
    expect_lines("one||two|", true);
    spill(file(), "one\n", 4);
    expect_lines("one|", false);
    struct gr_lines_reader *reader;
    ck_assert_int_eq(gr_lines_start(scratch, &reader), GR_ERROR_DATA);
}
END_TEST

/* Over many chunks, with a line that is longer than all of them and one that is none of ours. */
START_TEST(long_lines) {
    static const size_t lengths[] = {1, 300 << 10, 3, GR_LINE_MAX, 5, 3 * (size_t)GR_LINE_MAX, 7};
    struct gr_lines_reader *reader;
    const char *line;
    size_t n;
    uint64_t at = 0;
    FILE *out = fopen(file(), "w");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (size_t k = 0; k < lengths[i]; k++)
            putc('a' + (int)i, out);
        putc('\n', out);
    }
    fclose(out);
    MUST(gr_lines_start(file(), &reader));
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        MUST(gr_lines_next(reader, &line, &n));
        ck_assert_ptr_nonnull(line);
        ck_assert(lengths[i] <= GR_LINE_MAX ? n == lengths[i] : n < lengths[i]);
        ck_assert(n == 0 || line[n - 1] == 'a' + (char)i);
        at += lengths[i] + 1;
        ck_assert_uint_eq(gr_lines_at(reader), at);
    }
    MUST(gr_lines_next(reader, &line, &n));
    ck_assert_ptr_null(line);
    gr_lines_end(reader);
}
END_TEST

/* What is kept of the former file may have gaps. */
START_TEST(kept_with_gaps) {
    struct gr_lines_reader *reader;
    struct gr_lines_kept kept = {0};
    struct gr_lines *lines;
    spill(file(), "one\ntwo\nthree\nfour\n", 19);
    MUST(gr_lines_start(file(), &reader));
    MUST(gr_lines_keep(&kept, 0, 4));
    MUST(gr_lines_keep(&kept, 8, 14));
    MUST(gr_lines_keep(&kept, 14, 19));
    ck_assert_uint_eq(kept.n, 2);
    MUST(gr_lines_open(file(), reader, &kept, &lines));
    gr_lines_end(reader);
    MUST(append(lines, "five\n"));
    gr_lines_close(lines);
    expect("one\nthree\nfour\nfive\n");
}
END_TEST

/* A record of more than a gibibyte, most of it a hole: it is gone on with, in little memory. */
START_TEST(longer_than_a_gibibyte) {
    enum { MIB = 1 << 20 };
    const off_t hole = (off_t)1100 * MIB;
    struct gr_metrics_file *metrics;
    struct gr_metrics round = {.round = 2};
    struct rusage before, after;
    MUST(gr_metrics_open(file(), 0, &metrics));
    MUST(gr_metrics_append(metrics, &(struct gr_metrics){.round = 1}));
    gr_metrics_close(metrics);
    FILE *out = fopen(file(), "a");
    ck_assert_int_eq(fseeko(out, hole, SEEK_END), 0);
    fputs("\n", out);
    fclose(out);
    getrusage(RUSAGE_SELF, &before);
    MUST(gr_metrics_open(file(), 1, &metrics));
    MUST(gr_metrics_append(metrics, &round));
    gr_metrics_close(metrics);
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 100 << 10); /* KiB */
    struct gr_metrics *read = NULL;
    size_t n = 0, lines = 0;
    MUST(gr_metrics_read(file(), &read, &n, &lines));
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(lines, 2);
    gr_free(read);
}
END_TEST

/* ---- the files of a run --------------------------------------------------------------------- */

START_TEST(chain_holds) {
    struct gr_events_file *events;
    size_t broken = 9;
    MUST(gr_events_open(file(), &events));
    MUST(gr_events_append(events, "started", 0, NULL));
    for (uint32_t round = 1; round <= 3; round++)
        WITH_ROOM(300, gr_events_append(events, "partial", round, "{\"absent\":[\"silo-001\"]}"));
    ck_assert_uint_eq(gr_events_behind(events), 3);
    MUST(gr_events_verify(file(), &broken));
    ck_assert_uint_eq(broken, 0);
    MUST(gr_events_append(events, "alert", 4, NULL));
    ck_assert_uint_eq(gr_events_behind(events), 0);
    gr_events_close(events);
    MUST(gr_events_verify(file(), &broken));
    ck_assert_uint_eq(broken, 0);
    char *text = slurp(file(), NULL);
    ck_assert_ptr_nonnull(strstr(text, "\"n\":5,"));
    gr_free(text);
}
END_TEST

/* A disk that fails: the event is not there, and the chain goes on when it is well again. */
START_TEST(refused_is_not_there) {
    struct gr_events_file *events;
    struct gr_head head;
    size_t broken = 9;
    MUST(gr_events_open(file(), &events));
    MUST(gr_events_append(events, "started", 0, NULL));
    write_error = EIO;
    writes_to_pass = 0;
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_int_eq(gr_events_append(events, "lost", i, NULL), GR_ERROR_WRITE);
    write_error = 0;
    ck_assert_uint_eq(gr_events_behind(events), 0);
    MUST(gr_events_append(events, "finished", 4, NULL));
    gr_events_head(events, &head);
    ck_assert_uint_eq(head.n, 2);
    gr_events_close(events);
    MUST(gr_events_verify(file(), &broken));
    ck_assert_uint_eq(broken, 0);
}
END_TEST

START_TEST(metrics_wait) {
    struct gr_metrics_file *metrics;
    struct gr_metrics round = {.round = 1};
    MUST(gr_metrics_open(file(), 0, &metrics));
    WITH_ROOM(100, gr_metrics_append(metrics, &round));
    round.round = 2;
    WITH_ROOM(100, gr_metrics_append(metrics, &round));
    round.late = 7;
    WITH_ROOM(100, gr_metrics_amend(metrics, &round));
    ck_assert_uint_eq(gr_metrics_behind(metrics), 2);
    MUST(gr_metrics_sync(metrics));
    ck_assert_uint_eq(gr_metrics_behind(metrics), 0);
    gr_metrics_close(metrics);
    struct gr_metrics *read = NULL;
    size_t n = 0, lines = 0;
    MUST(gr_metrics_read(file(), &read, &n, &lines));
    ck_assert_uint_eq(lines, 2);
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(read[0].late, 0);
    ck_assert_uint_eq(read[1].round, 2);
    ck_assert_uint_eq(read[1].late, 7);
    gr_free(read);
}
END_TEST

RUN_TESTS("lines", lines_wait_for_room, written_by_sync_and_close, waiting_is_bounded,
          other_failures, refused_sync, unsynced_is_bounded, replaced_while_waiting,
          replacement_refused, never_in_place, always_anew, sleeper_s_temporary,
          opened_on_a_full_disk, lines_are_read, long_lines, kept_with_gaps, longer_than_a_gibibyte,
          refused_is_not_there, chain_holds, metrics_wait)
