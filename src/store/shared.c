/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether all ranks see and may write one run directory. Rank 0 leaves a token in it; every rank
 * opens it as it would a checkpoint, and makes and removes a file of its own as it would when it
 * takes over. A folder of the same name on another disk has not got the token.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/run_directory.h"

enum { TOKEN = 32 };
/* Seconds that a file system between hosts may take to show what another has made. */
static const double seen_s = 10;

struct check {
    char *token_path, *own_path;
    char token[TOKEN + 1];
    int unseen, unwritable; /* errno; 0: fine; ESTALE: another folder */
};

/* Rank 0. Random bytes: a token of an earlier start on another disk does not match. */
static gr_status leave_token(struct check *check) {
    unsigned char random[TOKEN / 2];
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(check->token, sizeof check->token, random, sizeof random);
    int fd = open(check->token_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool good = fd >= 0 && write(fd, check->token, TOKEN) == TOKEN;
    const int error = errno;
    if (fd >= 0 && close(fd) != 0) good = false;
    return good ? GR_OK : gr_fail(GR_ERROR_WRITE, "%s: %s", check->token_path, strerror(error));
}

/* errno of the failure that keeps this rank from the token; 0: it is there. Opened for writing as a
 * checkpoint is, since a mount may be readable and not writable. */
static int look_for_token(const struct check *check) {
    char found[TOKEN + 1] = "";
    int fd = open(check->token_path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return errno;
    const ssize_t n = read(fd, found, TOKEN);
    const int error = n < 0 ? errno : 0;
    close(fd);
    if (error) return error;
    return strcmp(found, check->token) == 0 ? 0 : ESTALE;
}

/* Errors that waiting does not change, unlike a name that a network file system has yet to show. */
static bool is_refusal(int error) {
    return error == EACCES || error == EPERM || error == EROFS;
}

/* Not collective. Waits up to seen_s = 10 s for the token; the own file is removed at once. */
static void try_folder(struct check *check) {
    const double until = gr_clock_seconds() + seen_s;
    const struct timespec moment = {0, 50000000};
    int error;
    while ((error = look_for_token(check)) != 0 && !is_refusal(error) && gr_clock_seconds() < until)
        nanosleep(&moment, NULL);
    if (error && !is_refusal(error)) {
        check->unseen = error;
        return;
    }
    int fd = error ? -1 : open(check->own_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, check->token, TOKEN) != TOKEN)
        check->unwritable = error ? error : errno;
    if (fd >= 0 && close(fd) != 0) check->unwritable = errno;
    if (fd >= 0 && unlink(check->own_path) != 0) check->unwritable = errno;
}

/* Collective. Fails for ranks that have an error, by name and with the reason of one of them (the
 * largest errno): as a rule all have the same. */
static gr_status tell(struct gr_comm *comm, const char *path, int mine, const char *what) {
    gr_status status = GR_OK;
    char names[GR_NAMES_BYTES];
    int64_t error = mine;
    GR_TRY(gr_comm_max_int64(comm, &error, 1));
    if (error == 0) return GR_OK;
    GR_TRY(gr_comm_name_flagged(comm, mine != 0, names));
    status =
        gr_fail(GR_ERROR_WRITE,
                "run directory %s: %s %s: %s; all ranks must see and may write one folder, on "
                "a file system that their hosts share",
                path, what, names,
                error == ESTALE ? "another folder of that name is there" : strerror((int)error));
out:
    return status;
}

/* At the start, since ranks on several hosts would else train for hours and fail, or write apart,
 * at the first checkpoint. Rank 0 removes the token on every way out. */
gr_status gr_run_directory_check_shared(struct gr_comm *comm, const char *path) {
    gr_status status = GR_OK;
    struct check check = {0};
    const int rank = gr_comm_rank(comm);
    int writer;
    (void)gr_comm_writers(comm, &writer);
    status = gr_text_format(&check.token_path, "%s/checkpoints/.token", path);
    if (status == GR_OK) status = gr_text_format(&check.own_path, "%s/.token-%d", path, rank);
    GR_TRY(gr_comm_agree(comm, status));
    GR_TRY(gr_comm_agree(comm, rank == 0 ? leave_token(&check) : GR_OK));
    GR_TRY(gr_comm_broadcast(comm, check.token, sizeof check.token));
    if (writer >= 0) try_folder(&check);
    GR_TRY(tell(comm, path, check.unseen, "is not seen by"));
    status = tell(comm, path, check.unwritable, "may not be written by");
out:
    if (rank == 0 && check.token_path) unlink(check.token_path);
    gr_free(check.own_path);
    gr_free(check.token_path);
    return status;
}
