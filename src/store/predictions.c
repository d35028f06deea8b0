/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Predictions, written by all ranks into one file with the same bytes for any number of them. Each
 * rank writes its rows where they belong: in HDF5 their place follows from their number, for the
 * datasets are contiguous and rank 0 has laid them out; in CSV from the lengths of the rows before
 * them, which the ranks tell each other.
 */
#include <granary/store.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/hdf5.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are written as they lie in memory");

struct gr_predictions {
    struct gr_comm *comm; /* borrowed */
    char *path, *temporary;
    bool csv, finished;
    bool claimed; /* by this rank, the first */
    int fd;
    size_t n_rows, classes, width;                  /* width: floats of a row */
    const char *const *class_names;                 /* NULL: none; borrowed */
    const char *id_name;                            /* NULL: no ids; borrowed */
    size_t id_bytes;                                /* of the longest id, at least 1 */
    size_t name_bytes;                              /* CSV: of the longest class name, quoted */
    bool sets;                                      /* rows have a set of classes, or an interval */
    uint64_t labels_at, values_at, sets_at, ids_at; /* HDF5: where the datasets begin */
    char *id_room;                                  /* HDF5: padded ids; owned */
    size_t id_rows;                                 /* it has room for */
    uint64_t end;                                   /* CSV: bytes written by all ranks */
    char *text;                                     /* CSV: lines; owned */
    size_t room;
    int64_t *lengths; /* CSV: a rank's of one turn; comm's size; owned */
};

/* errno 0: the system gave no reason. */
static gr_status cannot_write(const struct gr_predictions *p) {
    return gr_fail(GR_ERROR_WRITE, "%s: %s", p->path,
                   errno ? strerror(errno) : "cannot be written");
}

/* All n bytes, by position: ranks share no file pointer. */
static gr_status write_at(const struct gr_predictions *p, const void *bytes, size_t n,
                          uint64_t offset) {
    const char *at = bytes;
    while (n > 0) {
        const ssize_t done = pwrite(p->fd, at, n, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return cannot_write(p);
        at += done;
        n -= (size_t)done;
        offset += (uint64_t)done;
    }
    return GR_OK;
}

/* ---- HDF5 ----------------------------------------------------------------------------------- */

/* Bytes of all rows, and an estimate for HDF5's own; reserved before scoring begins. */
static uint64_t bytes_needed(const struct gr_predictions *p) {
    enum { METADATA_ESTIMATE = 4096 };
    const size_t id = p->id_name ? p->id_bytes : 0;
    const size_t sets = !p->sets ? 0 : p->classes > 0 ? p->classes : 2 * sizeof(float);
    return p->n_rows * (sizeof(int32_t) + p->width * sizeof(float) + sets + id) + METADATA_ESTIMATE;
}

/* width: of a row, 0: a number alone; *at: the dataset's first byte. */
static gr_status lay_out_dataset(const struct gr_predictions *p, hid_t file, const char *name,
                                 hid_t type, size_t width, uint64_t *at) {
    hid_t dataset =
        gr_hdf5_create_dataset(file, name, type, width > 0 ? 2 : 1, (size_t[]){p->n_rows, width});
    const haddr_t offset = dataset >= 0 ? H5Dget_offset(dataset) : HADDR_UNDEF;
    gr_status status = GR_OK;
    if (offset == HADDR_UNDEF) status = gr_hdf5_fail(GR_ERROR_WRITE, p->path, name);
    *at = offset;
    if (dataset >= 0) H5Dclose(dataset);
    return status;
}

/* UTF-8 of so many bytes, filled up with NUL; negative on failure. */
static hid_t text_type(size_t bytes) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && H5Tset_size(type, bytes) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 &&
        H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
        return type;
    if (type >= 0) H5Tclose(type);
    return -1;
}

static gr_status lay_out_ids(struct gr_predictions *p, hid_t file) {
    if (!p->id_name) return GR_OK;
    const hid_t type = text_type(p->id_bytes);
    if (type < 0) return gr_hdf5_fail(GR_ERROR_WRITE, p->path, "id");
    gr_status status = lay_out_dataset(p, file, "id", type, 0, &p->ids_at);
    H5Tclose(type);
    return status;
}

/* The names in the order of the labels. All have the length of the longest, filled up with NUL. */
static gr_status write_class_names(const struct gr_predictions *p, hid_t file) {
    gr_status status = GR_OK;
    char *names = NULL;
    size_t longest = 1;
    hid_t type = -1, dataset = -1;
    if (!p->class_names) return GR_OK;
    for (size_t c = 0; c < p->classes; c++)
        if (strlen(p->class_names[c]) > longest) longest = strlen(p->class_names[c]);
    GR_TRY(gr_allocate_zero(p->classes, longest, "names of classes", &names));
    for (size_t c = 0; c < p->classes; c++)
        memcpy(names + c * longest, p->class_names[c], strlen(p->class_names[c]));
    type = text_type(longest);
    if (type >= 0) dataset = gr_hdf5_create_dataset(file, "classes", type, 1, &p->classes);
    if (dataset < 0 || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names) < 0)
        status = gr_hdf5_fail(GR_ERROR_WRITE, p->path, "classes");
out:
    if (dataset >= 0) H5Dclose(dataset);
    if (type >= 0) H5Tclose(type);
    gr_free(names);
    return status;
}

static gr_status lay_out_outputs(struct gr_predictions *p, hid_t file) {
    gr_status status = GR_OK;
    if (p->classes == 0) {
        GR_TRY(lay_out_dataset(p, file, "prediction", H5T_IEEE_F32LE, 0, &p->values_at));
        if (p->sets) status = lay_out_dataset(p, file, "interval", H5T_IEEE_F32LE, 2, &p->sets_at);
        return status;
    }
    GR_TRY(lay_out_dataset(p, file, "labels", H5T_STD_I32LE, 0, &p->labels_at));
    GR_TRY(lay_out_dataset(p, file, "probabilities", H5T_IEEE_F32LE, p->classes, &p->values_at));
    if (p->sets) status = lay_out_dataset(p, file, "sets", H5T_STD_U8LE, p->classes, &p->sets_at);
out:
    return status;
}

/* Rank 0. Attributes are the format, its version and the digest of the model that predicted. */
static gr_status lay_out(struct gr_predictions *p, const char *model_digest) {
    gr_status status = GR_OK;
    hid_t access = -1, file = -1;
    GR_TRY(gr_hdf5_start());
    GR_TRY(gr_hdf5_access(p->temporary, &access));
    /* No lock of HDF5's: the file is claimed. */
    if (H5Pset_file_locking(access, 0, 1) < 0) {
        status = gr_hdf5_fail(GR_ERROR_WRITE, p->path, "access");
        goto out;
    }
    file = H5Fcreate(p->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (file < 0) {
        status = gr_hdf5_fail(GR_ERROR_WRITE, p->path, "creation");
        goto out;
    }
    /* Not before: creating cuts the file. */
    GR_TRY(gr_hdf5_reserve_room(p->path, p->fd, bytes_needed(p)));
    GR_TRY(lay_out_outputs(p, file));
    GR_TRY(lay_out_ids(p, file));
    GR_TRY(write_class_names(p, file));
    GR_TRY(gr_hdf5_set_text(file, p->path, "format", "granary-predictions"));
    GR_TRY(gr_hdf5_set_number(file, p->path, "version", 1));
    GR_TRY(gr_hdf5_set_text(file, p->path, "model_digest", model_digest));
out:
    if (file >= 0 && H5Fclose(file) < 0 && status == GR_OK)
        status = gr_hdf5_fail(GR_ERROR_WRITE, p->path, "closing");
    if (access >= 0) H5Pclose(access);
    return status;
}

/*
 * An id has id_bytes in the file, filled up with NULs, so that every rank knows where its rows
 * begin.
 */
static gr_status write_ids(struct gr_predictions *p, size_t first, size_t n, const char *ids,
                           const size_t *id_end) {
    gr_status status = GR_OK;
    if (n > p->id_rows) {
        gr_free(p->id_room);
        p->id_room = NULL;
        p->id_rows = 0;
        GR_TRY(gr_allocate(n, p->id_bytes, "row ids", &p->id_room));
        p->id_rows = n;
    }
    for (size_t i = 0, from = 0; i < n; from = id_end[i++]) {
        char *to = p->id_room + i * p->id_bytes;
        const size_t length = id_end[i] - from;
        memcpy(to, ids + from, length);
        memset(to + length, 0, p->id_bytes - length);
    }
    status = write_at(p, p->id_room, n * p->id_bytes, p->ids_at + first * p->id_bytes);
out:
    return status;
}

/* Sets of classes, or intervals. */
static gr_status write_sets(struct gr_predictions *p, size_t first, size_t n,
                            const struct gr_predicted *rows) {
    const size_t set = p->classes > 0 ? p->classes : 2 * sizeof(float);
    const void *bytes = p->classes > 0 ? (const void *)rows->sets : (const void *)rows->intervals;
    return p->sets ? write_at(p, bytes, n * set, p->sets_at + first * set) : GR_OK;
}

/* Not collective: places follow from row numbers, so ranks need not know of each other's rows. */
static gr_status write_slabs(struct gr_predictions *p, size_t first, size_t n,
                             const struct gr_predicted *rows) {
    const size_t row = p->width * sizeof *rows->values, label = sizeof *rows->labels;
    gr_status status = GR_OK;
    if (p->classes > 0) GR_TRY(write_at(p, rows->labels, n * label, p->labels_at + first * label));
    if (p->id_name && n > 0) GR_TRY(write_ids(p, first, n, rows->ids, rows->id_end));
    GR_TRY(write_sets(p, first, n, rows));
    status = write_at(p, rows->values, n * row, p->values_at + first * row);
out:
    return status;
}

/* ---- CSV ------------------------------------------------------------------------------------ */

enum { DECIMALS = 9, LABEL_BYTES = 12, PROBABILITY_BYTES = 1 + 2 + DECIMALS, NUMBER_BYTES = 24 };

/* ",0.123456789": nine decimals, always as many. Without the C library's printf, as there are as
 * many numbers as rows times classes. */
static char *put_probability(char *at, float p) {
    uint32_t units = (uint32_t)lrint((double)p * 1e9);
    *at++ = ',';
    *at++ = (char)('0' + units / 1000000000u);
    *at++ = '.';
    for (int i = DECIMALS; i-- > 0; units /= 10)
        at[i] = (char)('0' + units % 10);
    return at + DECIMALS;
}

/* Nine significant digits tell any float32 from its neighbours. */
static int put_number(char *at, float value) {
    return sprintf(at, "%.9g", (double)value);
}

/* As a field of a row (RFC 4180): in quotes where it would not be read back as it is. */
static char *put_text(char *at, const char *text, size_t n) {
    bool bare = n == 0 || (text[0] != ' ' && text[n - 1] != ' ');
    for (size_t i = 0; i < n; i++)
        bare = bare && text[i] != ',' && text[i] != '"' && text[i] != '\n' && text[i] != '\r';
    if (bare) {
        memcpy(at, text, n);
        return at + n;
    }
    *at++ = '"';
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"') *at++ = '"';
        *at++ = text[i];
    }
    *at++ = '"';
    return at;
}

/* Every byte may be a quote, and two stand around them. */
static size_t quoted_bytes(size_t n) {
    return 2 * n + 2;
}

/* Room for n lines, whose ids have so many bytes. An upper bound: every byte of an id may have to
 * be doubled. Grown, never shrunk. */
static gr_status make_room(struct gr_predictions *p, size_t n, size_t ids) {
    const size_t answer = p->class_names ? p->name_bytes : LABEL_BYTES;
    const size_t set = p->sets ? 2 * p->classes + (size_t)2 * (1 + NUMBER_BYTES) : 0;
    const size_t line = answer + 1 + NUMBER_BYTES + p->classes * PROBABILITY_BYTES + set;
    const size_t most = n * (line + quoted_bytes(1)) + quoted_bytes(ids);
    if (most <= p->room) return GR_OK;
    gr_free(p->text);
    p->text = NULL;
    p->room = 0;
    gr_status status = gr_allocate(most, 1, "lines of predictions", &p->text);
    if (status == GR_OK) p->room = most;
    return status;
}

static char *put_class(const struct gr_predictions *p, char *at, int32_t label) {
    if (!p->class_names) return at + sprintf(at, "%d", label);
    return put_text(at, p->class_names[label], strlen(p->class_names[label]));
}

/* Of each class 0 or 1, or the ends of the interval. */
static char *put_set(const struct gr_predictions *p, char *at, size_t i,
                     const struct gr_predicted *rows) {
    for (size_t c = 0; c < p->classes; c++) {
        *at++ = ',';
        *at++ = rows->sets[i * p->classes + c] ? '1' : '0';
    }
    for (size_t k = 0; k < 2 && p->classes == 0; k++) {
        *at++ = ',';
        at += put_number(at, rows->intervals[2 * i + k]);
    }
    return at;
}

/* The rows as lines; *used: bytes of them. */
static gr_status format_rows(struct gr_predictions *p, size_t n, const struct gr_predicted *rows,
                             size_t *used) {
    gr_status status = GR_OK;
    GR_TRY(make_room(p, n, p->id_name && n > 0 ? rows->id_end[n - 1] : 0));
    char *at = p->text;
    for (size_t i = 0; i < n; i++) {
        if (p->id_name) {
            const size_t from = i > 0 ? rows->id_end[i - 1] : 0;
            at = put_text(at, rows->ids + from, rows->id_end[i] - from);
            *at++ = ',';
        }
        if (p->classes > 0)
            at = put_class(p, at, rows->labels[i]);
        else
            at += put_number(at, rows->values[i]);
        for (size_t c = 0; c < p->classes; c++)
            at = put_probability(at, rows->values[i * p->classes + c]);
        if (p->sets) at = put_set(p, at, i, rows);
        *at++ = '\n';
    }
    *used = (size_t)(at - p->text);
out:
    return status;
}

/* ",p3", or of a class with a name ",p_yes"; likewise ",set3". */
static char *put_name_of(const struct gr_predictions *p, char *at, const char *what, size_t c) {
    char *name = NULL;
    if (!p->class_names) return at + sprintf(at, ",%s%zu", what, c);
    *at++ = ',';
    if (gr_text_format(&name, "%s_%s", what, p->class_names[c]) == GR_OK)
        at = put_text(at, name, strlen(name));
    gr_free(name);
    return at;
}

/* Rank 0. Its length is where the first row begins, which create tells the others. */
static gr_status write_header(struct gr_predictions *p) {
    gr_status status = GR_OK;
    char *text = NULL, *at;
    enum { NAME_BYTES = 28 };
    const size_t id = p->id_name ? quoted_bytes(strlen(p->id_name)) : 0;
    GR_TRY(
        gr_allocate(2 * p->classes + 2, NAME_BYTES + p->name_bytes + id, "a line of names", &text));
    at = text;
    if (p->id_name) {
        at = put_text(at, p->id_name, strlen(p->id_name));
        *at++ = ',';
    }
    at = stpcpy(at, p->classes > 0 ? "label" : "prediction");
    for (size_t c = 0; c < p->classes; c++)
        at = put_name_of(p, at, "p", c);
    for (size_t c = 0; c < p->classes && p->sets; c++)
        at = put_name_of(p, at, "set", c);
    if (p->sets && p->classes == 0) at = stpcpy(at, ",lower,upper");
    *at++ = '\n';
    p->end = (uint64_t)(at - text);
    status = write_at(p, text, (size_t)(at - text), 0);
out:
    gr_free(text);
    return status;
}

/*
 * Collective. The ranks' rows follow each other in the order of the ranks, so a caller that deals
 * rows to ranks in order gets a file in order. p->end grows alike on all ranks. A failed write is
 * agreed on by the caller.
 */
static gr_status write_lines(struct gr_predictions *p, size_t n, const struct gr_predicted *rows) {
    const size_t size = (size_t)gr_comm_size(p->comm), rank = (size_t)gr_comm_rank(p->comm);
    gr_status status = GR_OK;
    size_t used = 0;
    uint64_t at = p->end;
    GR_TRY(gr_comm_agree(p->comm, format_rows(p, n, rows, &used)));
    memset(p->lengths, 0, size * sizeof *p->lengths);
    p->lengths[rank] = (int64_t)used;
    GR_TRY(gr_comm_sum_int64(p->comm, p->lengths, size));
    for (size_t r = 0; r < size; r++) {
        if (r < rank) at += (uint64_t)p->lengths[r];
        p->end += (uint64_t)p->lengths[r];
    }
    status = write_at(p, p->text, used, at);
out:
    return status;
}

/* ---- the file ------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending) {
    const size_t n = strlen(path), m = strlen(ending);
    return n > m && strcmp(path + n - m, ending) == 0;
}

/* For a check before the model is read and rows are scored. */
gr_status gr_predictions_check_path(const char *path) {
    if (ends_in(path, ".csv") || ends_in(path, ".h5") || ends_in(path, ".hdf5")) return GR_OK;
    return gr_fail(GR_ERROR_USAGE, "%s: expected a name that ends in .csv, .h5 or .hdf5", path);
}

/* Not collective. *out is set as soon as there is something to release. */
static gr_status make(struct gr_comm *comm, const char *path,
                      const struct gr_predictions_form *form, struct gr_predictions **out) {
    gr_status status = GR_OK;
    struct gr_predictions *p = NULL;
    GR_TRY(gr_predictions_check_path(path));
    GR_TRY(gr_allocate_zero(1, sizeof *p, "predictions", &p));
    *out = p;
    p->comm = comm;
    p->csv = ends_in(path, ".csv");
    p->fd = -1;
    p->n_rows = form->n_rows;
    p->classes = form->classes;
    p->width = p->classes > 0 ? p->classes : 1;
    p->sets = form->sets;
    p->class_names = form->class_names;
    p->id_name = form->id_name;
    p->id_bytes = form->id_bytes > 0 ? form->id_bytes : 1;
    for (size_t c = 0; p->class_names && c < p->classes; c++) {
        const size_t bytes = quoted_bytes(strlen(p->class_names[c]));
        if (bytes > p->name_bytes) p->name_bytes = bytes;
    }
    GR_TRY(gr_text_format(&p->path, "%s", path));
    GR_TRY(gr_text_format(&p->temporary, "%s.tmp", path));
    GR_TRY(gr_allocate((size_t)gr_comm_size(comm), sizeof *p->lengths, "lengths", &p->lengths));
out:
    return status;
}

/* Rank 0: the file, its form, and where the system can the room for all of it. The claim keeps a
 * second process that writes to the same path out, until the file is finished or freed. */
static gr_status create_file(struct gr_predictions *p, const char *model_digest) {
    gr_status status = GR_OK;
    GR_TRY(gr_file_claim(p->path, p->temporary, &p->fd));
    p->claimed = true;
    if (p->csv) return write_header(p);
    GR_TRY(gr_hdf5_check_room(p->path, p->fd, bytes_needed(p)));
    GR_TRY(lay_out(p, model_digest));
out:
    return status;
}

/* The other ranks open the file that rank 0 has made: a path that is not shared between hosts fails
 * here, before scoring. */
static gr_status open_file(struct gr_predictions *p) {
    errno = 0;
    if (p->fd < 0) p->fd = open(p->temporary, O_WRONLY | O_CLOEXEC);
    return p->fd < 0 ? cannot_write(p) : GR_OK;
}

/* Places in the file are rank 0's, told to all. */
gr_status gr_predictions_create(struct gr_comm *comm, const char *path,
                                const struct gr_predictions_form *form,
                                struct gr_predictions **out) {
    gr_status status = GR_OK;
    struct gr_predictions *p = NULL;
    *out = NULL;
    const gr_status mine = make(comm, path, form, &p);
    GR_TRY(gr_comm_agree(comm, mine));
    GR_TRY(mine);
    GR_TRY(
        gr_comm_agree(comm, gr_comm_rank(comm) == 0 ? create_file(p, form->model_digest) : GR_OK));
    uint64_t places[] = {p->labels_at, p->values_at, p->end, p->ids_at, p->sets_at};
    GR_TRY(gr_comm_broadcast(comm, places, sizeof places));
    p->labels_at = places[0];
    p->values_at = places[1];
    p->end = places[2];
    p->ids_at = places[3];
    p->sets_at = places[4];
    GR_TRY(gr_comm_agree(comm, open_file(p)));
    *out = p;
    p = NULL;
out:
    gr_predictions_free(p);
    return status;
}

/* Every rank calls it as often as all others, with n = 0 where its rows are used up, for each call
 * ends in an agreement. */
gr_status gr_predictions_write(struct gr_predictions *p, size_t first, size_t n,
                               const struct gr_predicted *rows) {
    return gr_comm_agree(p->comm,
                         p->csv ? write_lines(p, n, rows) : write_slabs(p, first, n, rows));
}

/* Rank 0, when all have written. */
static gr_status publish(struct gr_predictions *p) {
    errno = 0;
    if (fsync(p->fd) != 0) return cannot_write(p);
    return gr_file_publish(p->temporary, p->path);
}

/* First every other rank's bytes are on the disk, then rank 0 syncs its own and renames: the name
 * never leads to a file with rows missing. */
gr_status gr_predictions_finish(struct gr_predictions *p) {
    gr_status status = GR_OK;
    const bool root = gr_comm_rank(p->comm) == 0;
    errno = 0;
    GR_TRY(gr_comm_agree(p->comm, root || fsync(p->fd) == 0 ? GR_OK : cannot_write(p)));
    GR_TRY(gr_comm_agree(p->comm, root ? publish(p) : GR_OK));
    p->finished = true;
out:
    return status;
}

/* Without a finish the temporary file is removed by the rank that claimed it. */
void gr_predictions_free(struct gr_predictions *p) {
    if (!p) return;
    if (p->claimed && !p->finished) unlink(p->temporary);
    if (p->fd >= 0) close(p->fd);
    gr_free(p->lengths);
    gr_free(p->id_room);
    gr_free(p->text);
    gr_free(p->temporary);
    gr_free(p->path);
    gr_free(p);
}
