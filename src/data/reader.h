/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader: one table of rows on disk, read in ascending order a window at a time. Each format is
 * an operations table; what all have in common (limits, checks of labels and of finite features,
 * the choice of the rows wanted) is in reader.c.
 *
 * Lifetime: gr_reader_open and gr_reader_close bracket a struct that the caller owns; the table
 * config is borrowed and must outlive it. Not collective.
 */
#ifndef GRANARY_DATA_READER_H
#define GRANARY_DATA_READER_H

#include <granary/data.h>

/* Large enough that neither system calls nor inflate's start-up count, small enough for the cache.
 */
#define GR_WINDOW_BYTES ((size_t)256 << 10)
/* No row and no window is larger. */
#define GR_WINDOW_BYTES_MAX ((size_t)16 << 20)
/* deflate packs at most 1032 to 1 (RFC 1951: 258 bytes in two bits). */
#define GR_DEFLATE_RATIO_MAX 1032u

enum { GR_CLASSES_MAX = 65535, GR_LABEL_WINDOW = 65536 };
/* Of an imported table's columns: cells that were censored, lost digits, and rows dropped, which
 * its values do not show any more. */
enum { GR_FINDINGS = 3, GR_FINDINGS_MAX = 10000 }; /* of one column; columns */

/* Numbers of a row beside its features and its answer. */
enum gr_term { GR_TERM_WEIGHT, GR_TERM_OFFSET, GR_TERMS };

struct gr_table_shape {
    size_t n_dims;
    size_t shape[GR_TENSOR_DIMS_MAX]; /* rows first */
    enum gr_element element;
    float scale;
    uint32_t n_classes;   /* as the file declares; 0: it does not */
    bool targets;         /* there is one a row */
    bool terms[GR_TERMS]; /* likewise */
    size_t column_bytes;  /* of the text that says what the columns are; 0: there is none */
    size_t group_bytes;   /* of the groups' names, each with a NUL behind it; 0: there are none */
    size_t n_findings;    /* columns of which an import left findings; 0: it did not */
    size_t window_rows;   /* rows of a window; windows begin at multiples of it */
    size_t n_features;    /* of a row; follows from shape */
    size_t row_bytes;     /* follows from shape and element */
};

/* Rows of a table that cannot be used and are passed over. Zeroed is none. */
struct gr_unfit_rows {
    size_t n_rows;  /* of the table */
    uint8_t *unfit; /* n_rows; 1: passed over; owned, with gr_free */
    size_t n;       /* of them */
    char *first;    /* why the first one was; NULL: there is none; owned, with gr_free */
};

struct gr_reader;

struct gr_reader_operations {
    /* Fills reader->shape but for what follows from it. Cleans up after itself on failure. */
    gr_status (*open)(struct gr_reader *reader);
    /* n <= GR_LABEL_WINDOW labels; out of int32's range they may come saturated. */
    gr_status (*labels)(struct gr_reader *reader, size_t first, size_t n, int32_t *out);
    /* Rows of one window; *block is borrowed until the next call. `first` never decreases. */
    gr_status (*rows)(struct gr_reader *reader, size_t first, size_t n, const void **block);
    void (*close)(struct gr_reader *reader);
    /* n <= GR_LABEL_WINDOW targets; only where shape.targets. */
    gr_status (*targets)(struct gr_reader *reader, size_t first, size_t n, float *out);
    /* n <= GR_LABEL_WINDOW terms; only where shape.terms has them. */
    gr_status (*terms)(struct gr_reader *reader, enum gr_term term, size_t first, size_t n,
                       float *out);
    /* The line on which a row begins; NULL: rows have none. */
    gr_status (*line)(struct gr_reader *reader, size_t row, size_t *line);
    /* The text of shape.column_bytes bytes into reader->window; only where there is some. */
    gr_status (*columns)(struct gr_reader *reader);
    /* n <= GR_LABEL_WINDOW rows' groups, as places in the list of names; only where
     * shape.group_bytes. */
    gr_status (*groups)(struct gr_reader *reader, size_t first, size_t n, int32_t *out);
    /* The groups' names, shape.group_bytes bytes. */
    gr_status (*group_names)(struct gr_reader *reader, char *out);
    /* shape.n_findings x GR_FINDINGS counts; only where there are some. */
    gr_status (*findings)(struct gr_reader *reader, int64_t *out);
};

struct gr_reader {
    const struct gr_reader_operations *operations;
    const struct gr_table_config *table; /* borrowed */
    unsigned asks;                       /* enum gr_reader_ask, together */
    bool unlabelled;                     /* labels are not looked for, and need not be there */
    const struct gr_data_config *data;   /* borrowed; csv only, else it may be NULL */
    const struct gr_preprocessing *preprocessing; /* what rows are read for; borrowed; NULL */
    struct gr_table_shape shape;
    struct gr_columns *columns;        /* NULL: the table names none; owned */
    uint8_t *may_lack;                 /* hdf5 with columns: values that may be NaN; owned */
    struct gr_found *found;            /* csv: of each column; owned */
    struct gr_passed_over passed_over; /* csv: in this file */
    struct gr_unfit_rows *unfit;       /* rows are passed over, and noted here; NULL: refused;
                                          borrowed; set by the caller, after opening */
    size_t n_dropped;                  /* GR_ASK_DROPS: rows left out as the file was read, */
    char *first_dropped;               /* and why the first one was; NULL: none; owned */
    struct gr_found *imported;         /* hdf5: what an import found of each column; NULL; owned */
    char *guessed; /* csv without a schema: a line of each column, for its owner; owned */
    /* csv: the column of row ids, NULL for none; its place and the bytes of its longest text; where
     * rows() puts those of the rows that it returns. All borrowed. */
    const char *id;
    size_t id_column, id_longest;
    struct gr_ids *ids;
    bool misfit;  /* opening failed because the columns are not the schema's */
    void *window; /* GR_WINDOW_BYTES_MAX bytes of the guard's, for the format that reads into it */
    void *state;  /* the format's */
};

extern const struct gr_reader_operations gr_idx_operations;
extern const struct gr_reader_operations gr_csv_operations;
extern const struct gr_reader_operations gr_hdf5_operations;  /* in this process: see guard.c */
extern const struct gr_reader_operations gr_guard_operations; /* gr_hdf5_operations in a child */

/* What is asked of a table beside features and answers. */
enum gr_reader_ask {
    GR_ASK_GROUPS = 1, /* whatever the partition */
    GR_ASK_DROPS = 2   /* csv: a row that cannot be read is left out, and not refused */
};

/*
 * Opens a table of config->source, and holds its columns against config->schema. On failure all of
 * the reader is empty but `misfit`.
 */
gr_status gr_reader_open(const struct gr_data_config *config, const struct gr_table_config *table,
                         unsigned asks, struct gr_reader *reader) GR_CHECKED;
/* For a stored model. labelled false: see `unlabelled`; preprocessing NULL: it has none; id: see
 * `id`. */
gr_status gr_reader_open_for(const struct gr_data_config *config,
                             const struct gr_table_config *table,
                             const struct gr_preprocessing *preprocessing, bool labelled,
                             const char *id, struct gr_reader *reader) GR_CHECKED;
void gr_reader_close(struct gr_reader *reader);

/* Of a table that no config speaks of. */
struct gr_data_config gr_table_defaults(enum gr_data_source source);

/* Names the file that holds the features, or the labels, in messages. */
const char *gr_reader_features_path(const struct gr_reader *reader);
const char *gr_reader_labels_path(const struct gr_reader *reader);

/* Derives n_features and row_bytes and enforces the limits. */
gr_status gr_table_shape_check(const char *path, struct gr_table_shape *shape) GR_CHECKED;

/*
 * The first n labels, each in 0..GR_CLASSES_MAX-1 (and below the declared number of classes);
 * caller releases *out with gr_free. *n_classes: the declared number, else the largest + 1.
 */
gr_status gr_reader_labels(struct gr_reader *reader, size_t n, int32_t **out,
                           uint32_t *n_classes) GR_CHECKED;
/* The same number and the same checks, in constant memory. */
gr_status gr_reader_classes(struct gr_reader *reader, size_t n, uint32_t *n_classes) GR_CHECKED;

/* The first n targets, all finite; caller releases *out with gr_free. NULL where there are none. */
gr_status gr_reader_targets(struct gr_reader *reader, size_t n, float **out) GR_CHECKED;

/*
 * The first n weights, all finite and at least 0 and not all 0; or offsets, all finite. Caller
 * releases *out with gr_free. NULL where there are none.
 */
gr_status gr_reader_terms(struct gr_reader *reader, enum gr_term term, size_t n,
                          float **out) GR_CHECKED;

/* GR_ERROR_DATA with the file, the row (of a CSV file its line), the column (-1: none) and what was
 * expected; never a value. */
gr_status gr_reader_refuse(struct gr_reader *reader, size_t row, int column, const char *found,
                           const char *expected) GR_CHECKED;
/* Holds n rows' labels, or their targets (NULL: there are none), against a loss. */
gr_status gr_reader_check(struct gr_reader *reader, const struct gr_domain *domain, size_t n,
                          const int32_t *labels, const float *targets) GR_CHECKED;

/* Of rows of a table. A zeroed struct is empty. */
struct gr_row_groups {
    uint32_t *group;   /* of each row: a place in the byte order of the names that occur; owned */
    uint32_t n;        /* groups */
    const char **name; /* n; owned, with the bytes of all in `text` */
    char *text;
};
void gr_row_groups_release(struct gr_row_groups *groups);
/*
 * The first n rows' groups by the column `column` of `columns` (NULL: the one of groups, which
 * names persons). GR_ERROR_DATA: there is no such column, or it is none of groups.
 */
gr_status gr_reader_groups(struct gr_reader *reader, const struct gr_columns *columns,
                           const char *column, size_t n, struct gr_row_groups *out) GR_CHECKED;

/* A row wanted, and where its features go. */
struct gr_pick {
    uint32_t row;
    void *to; /* row_bytes */
};

/*
 * Reads the picked rows, which ascend strictly. Infinities, and NaN where columns do not say what
 * becomes of missing values: GR_ERROR_DATA.
 */
gr_status gr_reader_rows(struct gr_reader *reader, const struct gr_pick *picks,
                         size_t n) GR_CHECKED;

/* Opens a regular file for reading without waiting for pipes or devices. */
gr_status gr_open_regular(const char *path, int *fd, size_t *size) GR_CHECKED;

#endif
