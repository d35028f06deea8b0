/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: what every room stands on, and what knows none of them: status and its message, memory,
 * flags of many elements, keyed random streams, digests, text, files, clocks, and the layout of a
 * parameter vector.
 *
 * Lifetime: nothing here is global except the message of the last failure, which is kept per
 * thread. Not collective: no function here talks to another rank.
 *
 * Interface: stable.
 */
#ifndef GRANARY_BASE_H
#define GRANARY_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gsl/gsl_rng.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRANARY_VERSION "0.1.0"

#define GR_CHECKED           __attribute__((warn_unused_result))
#define GR_ALIGNED(bytes)    __attribute__((aligned(bytes)))
#define GR_PRINTF(at, first) __attribute__((format(printf, at, first)))

/* ---- status ------------------------------------------------------------------------------- */

/*
 * The values are the exit codes of the command; but for GR_LOST, which never leaves it: a
 * collective was given up because the membership has changed, and is to be repeated on the new one.
 */
#define GR_STATUS_LIST(X)                                                                          \
    X(GR_OK, 0, "done")                                                                            \
    X(GR_NOT_PASSED, 1, "a gate is not passed")                                                    \
    X(GR_ERROR_USAGE, 64, "usage")                                                                 \
    X(GR_ERROR_DATA, 65, "bad data")                                                               \
    X(GR_ERROR_INTERNAL, 70, "internal error")                                                     \
    X(GR_ERROR_WRITE, 73, "cannot write")                                                          \
    X(GR_STOPPED, 75, "stopped, resumable")                                                        \
    X(GR_LOST, 76, "ranks were lost")                                                              \
    X(GR_ERROR_POLICY, 77, "refused by policy")                                                    \
    X(GR_ERROR_CONFIG, 78, "bad config")

typedef enum gr_status {
#define GR_STATUS_ENUMERATOR(name, value, text) name = (value),
    GR_STATUS_LIST(GR_STATUS_ENUMERATOR)
#undef GR_STATUS_ENUMERATOR
} gr_status;

enum { GR_MESSAGE_MAX = 4096 };

/*
 * Not collective. Records the message of a failure and returns `status`, so that a failing function
 * can say `return gr_fail(GR_ERROR_DATA, "%s: label %d, expected 0 to %d", path, found, last);`.
 * The message names the file, the place, what was found and what was expected. It is cut at
 * GR_MESSAGE_MAX - 1 bytes.
 */
gr_status gr_fail(gr_status status, const char *format, ...) GR_PRINTF(2, 3);

/* Not collective. Puts context ("silo-03: ") in front of the message already recorded; returns
 * `status`. */
gr_status gr_fail_context(gr_status status, const char *format, ...) GR_PRINTF(2, 3);

/*
 * Not collective. Returns the message of this thread's last failure, "" when there was none.
 * Borrowed until the next failure.
 */
const char *gr_message(void);

/* Goes to `out:` with `status` set, when a call fails. Needs a local `gr_status status`. */
#define GR_TRY(call)                                                                               \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != GR_OK) goto out;                                                             \
    } while (0)

/* ---- memory ------------------------------------------------------------------------------- */

/*
 * Not collective. Allocates `count` * `size` bytes, aligned to 64, not initialised. Success never
 * comes with NULL: zero bytes give a pointer that may be freed. `out` is the address of any object
 * pointer; the caller releases it with gr_free. Errors: GR_ERROR_INTERNAL with `what` in the
 * message, when the product overflows or memory is refused.
 */
gr_status gr_allocate(size_t count, size_t size, const char *what, void *out) GR_CHECKED;
/* Not collective. As gr_allocate, with all bytes zero. */
gr_status gr_allocate_zero(size_t count, size_t size, const char *what, void *out) GR_CHECKED;
/*
 * Not collective. Releases memory of gr_allocate and of every function whose comment names gr_free;
 * NULL is accepted.
 */
void gr_free(void *pointer);

/* ---- flags ---------------------------------------------------------------------------------- */

/*
 * A small number for each of n elements, of which few are other than 0 (the silos of a round, out
 * of all that there are). Looking one up and setting one take the same time whatever n is; walking
 * and clearing take time by how many are set. To be read only, but by the functions below.
 */
struct gr_flags {
    uint32_t n;     /* elements */
    uint8_t *flag;  /* n; 0: not set; owned */
    uint32_t n_set; /* elements that are */
    uint32_t *set; /* the first n_set of n: those, ascending once gr_flags_sort was called; owned */
    bool ascending; /* they are in any case */
};
/* Not collective. None is set; released by gr_flags_release. Errors: as gr_allocate. */
gr_status gr_flags_create(uint32_t n, const char *what, struct gr_flags *out) GR_CHECKED;
/* Not collective. */
void gr_flags_release(struct gr_flags *flags);
/* Not collective. element: below n. 0 takes the element off the list, in time by its length. */
void gr_flags_set(struct gr_flags *flags, uint32_t element, uint8_t value);
/* Not collective. None is set any more. */
void gr_flags_clear(struct gr_flags *flags);
/* Not collective. Puts the list into ascending order, if it is not. */
void gr_flags_sort(struct gr_flags *flags);

/* ---- random streams ----------------------------------------------------------------------- */

/*
 * Every random decision draws from a stream named by its purpose, so that the numbers depend on
 * nothing else: not on the rank, the number of ranks, or earlier draws.
 */
enum gr_purpose {
    GR_PURPOSE_INITIALISE = 1, /* model parameters; silo 0, round 0 */
    GR_PURPOSE_PARTITION = 2,  /* rows to silos; silo 0, round 0 */
    GR_PURPOSE_SPLIT = 3,      /* validation rows of a silo; round 0 */
    GR_PURPOSE_BATCH = 4,      /* order of a silo's rows in a round */
    GR_PURPOSE_SAMPLE = 5,     /* silos of a round; silo 0 */
    GR_PURPOSE_SYNTHETIC = 6,  /* synthetic rows of a silo; round 0 */
    GR_PURPOSE_TEST = 7,       /* for tests */
    GR_PURPOSE_DROPOUT = 10,   /* units that a silo's dropout layers drop in a round */
    GR_PURPOSE_ROUNDING = 11,  /* of a silo's update in a round's sum, ring16 */
    GR_PURPOSE_SWEEP = 12,     /* points of a sweep; silo 0, round 0 */
    GR_PURPOSE_BOOTSTRAP = 13, /* replicates of a group's share: silo the group, round the share */
};

struct gr_stream_key {
    uint64_t seed;
    uint32_t silo;
    uint32_t round;
    enum gr_purpose purpose;
};

/*
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC'11)
 * as a GSL generator: the key is the seed, the counter starts at (0, round, silo, purpose). All of
 * gsl_ran_* draws from it. A stream holds 2^34 32-bit numbers before it wraps.
 */
extern const gsl_rng_type *const gr_rng_philox;

/* Not collective. Caller owns *out; release with gsl_rng_free. */
gr_status gr_stream_create(struct gr_stream_key key, gsl_rng **out) GR_CHECKED;

/* Not collective. Sets an existing stream to the start of the stream named `key`. */
void gr_stream_restart(gsl_rng *stream, struct gr_stream_key key);

/* Not collective. Writes n 32-bit numbers of the stream named `key`, from its 4 * block-th on;
 * needs no stream. */
void gr_stream_words(struct gr_stream_key key, uint32_t block, uint32_t *words, size_t n);

/* Not collective. Writes the next n 32-bit numbers of a stream, which n calls of gsl_rng_get would
 * give one by one. */
void gr_stream_draw(gsl_rng *stream, uint32_t *words, size_t n);

/* Not collective. A permutation of 0..n-1 by Fisher-Yates; index: n elements, overwritten. */
void gr_stream_permutation(gsl_rng *stream, uint32_t *index, size_t n);

/* ---- digests ------------------------------------------------------------------------------ */

enum { GR_DIGEST_BYTES = 32, GR_DIGEST_HEX = 65, GR_DIGEST_WORDS = GR_DIGEST_BYTES / 4 };

/* BLAKE2b-256 (RFC 7693). */
struct gr_digest {
    GR_ALIGNED(64) unsigned char opaque[384];
};

/* Not collective. Begins a digest over no bytes; it holds no memory and needs no release. */
void gr_digest_start(struct gr_digest *digest);
/* Not collective. Adds n bytes behind the bytes added before. */
void gr_digest_add(struct gr_digest *digest, const void *bytes, size_t n);
/*
 * Not collective. Writes the digest of all bytes added, GR_DIGEST_BYTES of them; the struct is then
 * void until gr_digest_start.
 */
void gr_digest_finish(struct gr_digest *digest, unsigned char out[GR_DIGEST_BYTES]);
/* Not collective. The digest of one buffer of n bytes. */
void gr_digest_of(const void *bytes, size_t n, unsigned char out[GR_DIGEST_BYTES]);
/* Not collective. Writes a digest as 64 lower-case hexadecimal digits and a NUL. */
void gr_digest_hex(const unsigned char digest[GR_DIGEST_BYTES], char out[GR_DIGEST_HEX]);
/*
 * Not collective. Reads gr_digest_hex's text back; false when it is not GR_DIGEST_BYTES in
 * hexadecimal digits.
 */
bool gr_digest_from_hex(const char *hex, unsigned char out[GR_DIGEST_BYTES]);

/* How far a file of lines has come: the first n lines, and a hash over all of them, in hex. */
struct gr_head {
    uint64_t n;
    char hash[GR_DIGEST_HEX];
};

/* ---- text --------------------------------------------------------------------------------- */

/*
 * Not collective. Formats as printf does, into memory that the caller releases with gr_free.
 * Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_text_format(char **out, const char *format, ...) GR_PRINTF(2, 3) GR_CHECKED;

/*
 * Not collective. The candidate with the smallest edit distance to `word`, or NULL when none is
 * nearer than half of the word's length (at least 2). Words over 64 bytes have no nearest.
 */
const char *gr_text_nearest(const char *word, const char *const *candidates, size_t n);

/*
 * Not collective. Copies at most `size` - 1 bytes of `text` into `out` so that it can stand in a
 * one-line message: control characters and bytes that are not UTF-8 become '?', a cut ends in
 * "...".
 */
void gr_text_quote(const char *text, size_t length, char *out, size_t size);
/* Not collective. A decimal number of seconds, or of the unit behind it: "90", "90s", "30m", "36h",
 * "2d". false: the text is none, and *out is as it was or of no meaning. */
bool gr_seconds_parse(const char *text, double *out);

/* Not collective. True when the bytes are valid UTF-8 (RFC 3629) with no NUL. */
bool gr_text_is_utf8(const char *text, size_t length);

/*
 * Not collective. Returns a text that differs between builds of other sources, flags or compilers,
 * whatever their version. Static.
 */
const char *gr_build_id(void);

/* ---- files -------------------------------------------------------------------------------- */

/* Behind "no such file" of a path that a config names. */
#define GR_RELATIVE_WORDS "; paths are relative to the folder where granary is started"

/*
 * Not collective. Reads a whole regular file of at most `limit` bytes, with a NUL behind it. Caller
 * releases *out with gr_free. A missing, unreadable or larger file gives `failure` (a file of the
 * user's: GR_ERROR_CONFIG or GR_ERROR_DATA).
 */
gr_status gr_file_read(const char *path, size_t limit, gr_status failure, char **out,
                       size_t *length) GR_CHECKED;

/* Not collective. Writes PATH.tmp, fsyncs, renames to PATH, fsyncs the folder. Errors:
 * GR_ERROR_WRITE. */
gr_status gr_file_write(const char *path, const void *bytes, size_t length) GR_CHECKED;

/*
 * Not collective. Opens TEMPORARY, empty, to be written and renamed to PATH later, and locks it as
 * long as *fd is open: who writes the same PATH meanwhile is refused, rather than to write into the
 * same file. Where the file system has no locks, none is held. Errors: GR_ERROR_WRITE.
 */
gr_status gr_file_claim(const char *path, const char *temporary, int *fd) GR_CHECKED;

/*
 * Not collective. Whether a file that a user named may be written: it is not one of the `n` files
 * at `read` (NULL: no file), which would be lost, nor a device, a pipe or a folder, which a rename
 * would replace for everybody on the machine. Errors: GR_ERROR_USAGE, GR_ERROR_WRITE.
 */
gr_status gr_file_check_output(const char *path, const char *const *read, size_t n) GR_CHECKED;

/* Whether the path leads to the file that is open at fd: it may have been renamed or replaced. Not
 * collective. */
bool gr_file_leads_to(const char *path, int fd);

/* Not collective. Renames a file that is on disk, and fsyncs the folder. Errors: GR_ERROR_WRITE. */
gr_status gr_file_publish(const char *temporary, const char *path) GR_CHECKED;

/* Not collective. A file or folder that only its owner is to read is so again: a copy, or a folder
 * opened to a group with all it holds, loses the modes. A file of another user, who could set the
 * modes back, stays as it is. */
void gr_file_keep_private(const char *path);

/* Not collective. Brings the folder that holds `path` to disk (fsync), so that a rename in it
 * stays. Errors: GR_ERROR_WRITE. */
gr_status gr_file_sync_folder(const char *path) GR_CHECKED;

/* Not collective. `path` behind the working folder of this process. Caller releases with gr_free.
 */
gr_status gr_path_absolute(const char *path, char **out) GR_CHECKED;
/*
 * Not collective. Returns the end of `path` that tells it from the working folder, for messages;
 * all of `path` when it lies elsewhere. Borrowed from `path`.
 */
const char *gr_path_shown(const char *path);
/* ---- signs of life -------------------------------------------------------------------------- */

/*
 * Others may wait for this process while it works. Whatever takes long, reading a table, writing a
 * checkpoint, calls gr_alive between its pieces (a batch, a chunk of a file); that calls the
 * function which the process has set, none at first, and a return other than GR_OK ends the work
 * with that status. Of one thread.
 */
typedef gr_status (*gr_poll_function)(void *context);
/*
 * Not collective. Sets the function that gr_alive calls from now on, with `context`; NULL: nobody
 * waits. Of this thread.
 */
void gr_alive_set(gr_poll_function poll, void *context);
/*
 * Not collective. Called between the pieces of long work: calls the function that gr_alive_set has
 * set, and returns its status, upon which the work is to end; GR_OK without one.
 */
gr_status gr_alive(void) GR_CHECKED;
/* Not collective. As gr_alive, where the work must be brought to its end: the status is dropped. */
void gr_alive_on(void);

/* ---- clocks ------------------------------------------------------------------------------- */

/* Not collective. Returns seconds of a monotonic clock, for intervals. */
double gr_clock_seconds(void);
/* Not collective. Returns the processor time of this process, user and system, in seconds. */
double gr_clock_cpu_seconds(void);
/* Not collective. Writes the present time in Coordinated Universal Time, "2026-11-21T09:30:00Z". */
void gr_clock_utc(char out[32]);

/* ---- layout of a parameter vector --------------------------------------------------------- */

enum { GR_TENSOR_DIMS_MAX = 4, GR_TENSOR_NAME_MAX = 48, GR_LAYOUT_ALIGNMENT = 16 };

/* A named view into a parameter vector: row-major, shape[0] slowest. */
struct gr_tensor {
    char name[GR_TENSOR_NAME_MAX]; /* e.g. "dense0.weight" */
    size_t n_dims;
    size_t shape[GR_TENSOR_DIMS_MAX];
    size_t n_elements; /* product of shape */
    size_t offset;     /* first element in the vector; a multiple of GR_LAYOUT_ALIGNMENT */
};

/*
 * The tensors of a vector, in ascending offset. The gaps that alignment leaves between tensors
 * hold zeros, in parameters, gradients and updates alike.
 */
struct gr_layout {
    size_t n_tensors;
    struct gr_tensor *tensors; /* owned */
    size_t size;               /* floats in the vector, gaps included */
    size_t n_parameters;       /* without gaps */
};

/*
 * Not collective. Appends a tensor of n_dims <= GR_TENSOR_DIMS_MAX dimensions at the next multiple
 * of GR_LAYOUT_ALIGNMENT. A zeroed layout is an empty one. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_layout_append(struct gr_layout *layout, const char *name, size_t n_dims,
                           const size_t *shape) GR_CHECKED;
/* Not collective. Releases the list of tensors; a zeroed layout is accepted. */
void gr_layout_release(struct gr_layout *layout);
/* Not collective. The tensor that holds element `offset`, or NULL in a gap. */
const struct gr_tensor *gr_layout_find(const struct gr_layout *layout, size_t offset);
/* Not collective. Whether two layouts have the same tensors: names, shapes and offsets. */
bool gr_layout_equal(const struct gr_layout *a, const struct gr_layout *b);
/* Not collective. BLAKE2b-256 over all tensors' elements (little-endian float32) in order, gaps
 * left out. */
void gr_layout_digest(const struct gr_layout *layout, const float *parameters,
                      unsigned char out[GR_DIGEST_BYTES]);

/* Elements side by side in two vectors: n from `whole` on in one, from `part` on in the other. */
struct gr_layout_span {
    size_t whole, part, n;
};
/* Some tensors of a layout, such as those that travel where others stay, as a vector of their own.
 */
struct gr_sublayout {
    struct gr_layout layout;      /* as if there were no other tensors; owned */
    struct gr_layout_span *spans; /* ascending, without gaps in the part; owned */
    size_t n_spans;               /* all tensors: one, of the whole */
};
/* Not collective. chosen: a flag for each tensor; NULL: all. Released by gr_sublayout_release.
 * Errors: GR_ERROR_INTERNAL. */
gr_status gr_sublayout_create(const struct gr_layout *whole, const uint8_t *chosen,
                              struct gr_sublayout *out) GR_CHECKED;
/* Not collective. A zeroed one is accepted. */
void gr_sublayout_release(struct gr_sublayout *sub);
/* Not collective. The chosen tensors of a vector of the whole move to its beginning, in the
 * sublayout's places; what is behind them is unspecified. All tensors: nothing moves. */
void gr_sublayout_pack(const struct gr_sublayout *sub, float *vector);

/* ---- real sums in integers ------------------------------------------------------------------ */

/*
 * A real sum in four integers, which may be added up in any order: in units of 2^40, 2^10, 2^-20
 * and 2^-50: the first takes as much of a value as it can, each other the rest of the one before. A
 * value's part in the lower ones is at most 2^29, and in the first at most 2^30 when the value is
 * below 2^70.
 */
enum { GR_REAL_WORDS = 4 };
#define GR_REAL_LIMIT 0x1p70
/*
 * Not collective. Adds `value` to a sum of GR_REAL_WORDS integers. False, and nothing is added: the
 * value is not finite, or not below GR_REAL_LIMIT in magnitude.
 */
bool gr_real_add(int64_t *sum, double value) GR_CHECKED;
/* Not collective. Returns the real number that a sum of GR_REAL_WORDS integers stands for. */
long double gr_real_value(const int64_t *sum);

/* ---- what knows no deadline ----------------------------------------------------------------- */

/*
 * Not collective. Guards a call into a library that may wait for ever (the start and the end of
 * MPI): unless gr_guard_stop is called within `seconds`, the process says `what` on standard error
 * and ends with the exit code of GR_STOPPED, or with the one that gr_guard_code has set. One guard
 * at a time.
 */
void gr_guard_start(unsigned seconds, const char *what);
/* Not collective. From now on standard error is told every so many seconds of a guarded call that
 * takes long; 0: no more. */
void gr_guard_tell(unsigned seconds);
/*
 * Not collective. The guarded call has returned: the guard is off. Without a guard nothing happens.
 */
void gr_guard_stop(void);
/*
 * Not collective. Sets the exit code with which the next guards end the process, in place of
 * GR_STOPPED's.
 */
void gr_guard_code(gr_status code);
/* Not collective. Sets the file at `path`, if it holds `before`, into which the exit code, of two
 * digits, goes before a guard ends the process; both borrowed. NULL: into none. */
void gr_guard_note(const char *path, const char *before);

/* ---- core files ----------------------------------------------------------------------------- */

/* Not collective. From now on neither this process nor its children leave a core file: memory has
 * keys, or rows and the secrets of their noise. */
void gr_leave_no_core_file(void);

/* ---- children ------------------------------------------------------------------------------- */

/* The time and memory that a child may use. */
struct gr_child_limits {
    double wall_seconds;
    uint32_t cpu_seconds;
    size_t memory_bytes; /* address space beyond what it begins with */
};

/*
 * Not collective. Runs work(context) in a child process and returns its status, with its message,
 * because libraries crash on some files. Its memory is a copy, its standard streams are closed,
 * signals meant for the job pass it by, and it leaves without exit handlers. A child that ends
 * otherwise, or that breaks a limit (NULL: there are none), fails with `lost`: "WHAT ended in
 * signal 11".
 */
gr_status gr_child_run(const char *what, gr_status lost, const struct gr_child_limits *limits,
                       gr_status (*work)(void *context), void *context) GR_CHECKED;

/*
 * Not collective. A file that the child is making, borrowed until NULL is given: where SIGHUP,
 * SIGINT or SIGTERM would end this process, they end the child and remove the file before.
 */
void gr_child_unfinished(const char *path);

/*
 * Not collective. To be called first by a child that serves its parent: signals meant for the job
 * pass it by, it is killed when the parent, of that process id, ends, and it leaves no core file.
 */
void gr_child_settle(int parent);
/*
 * Not collective. Of a child of gr_child_run: from now on its address space may grow by `more`
 * bytes and no further.
 */
void gr_child_limit_memory(size_t more);
/*
 * Not collective. Of a child of gr_child_run: from now on it may use so many seconds of processor
 * time and no more.
 */
void gr_child_limit_cpu(uint32_t seconds);

/* ---- start-up ----------------------------------------------------------------------------- */

/*
 * Not collective. To be called once before anything else: makes the libraries whose defaults abort
 * or print (GSL, libsodium) behave. Safe to call again.
 */
gr_status gr_base_start(void) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
