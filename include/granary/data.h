/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data: tables of rows on disk or generated, partitioned into silos; batches gathered from them.
 *
 * A process loads the rows of its own silos and nothing else of the features. Knows no MPI: the
 * caller says which silos and which slices of the test table are its own.
 *
 * Lifetime: gr_data_load creates; the caller owns; gr_data_free. Rows belong to the data. Not
 * collective: the outcome must be agreed on by the caller.
 *
 * Interface: internal.
 */
#ifndef GRANARY_DATA_H
#define GRANARY_DATA_H

#include <granary/config.h>

#ifdef __cplusplus
extern "C" {
#endif

enum gr_element { GR_ELEMENT_UINT8, GR_ELEMENT_FLOAT32 };

/* Whose each row is, where persons are what is hidden. */
struct gr_persons {
    uint32_t n;      /* 0: rows have no persons */
    uint32_t *first; /* of each in `rows`; n + 1; owned */
    uint32_t *rows; /* numbers of rows, person by person, each's in the order of the table; owned */
};

/*
 * Rows in memory. Features stay in their element type; a gathered feature is
 * value * scale (images: 1/255; float32: 1).
 */
struct gr_rows {
    size_t n_rows;
    size_t n_features; /* of a row, all dimensions multiplied */
    enum gr_element element;
    float scale;
    void *features;  /* n_rows x n_features, 64-byte aligned; owned */
    int32_t *labels; /* n_rows, each in 0..n_classes-1; owned */
    float *targets;  /* n_rows, numbers to be predicted; owned; NULL: the labels are */
    float *weights;  /* n_rows, each >= 0 and finite; owned; NULL: each is 1 */
    float *offsets;  /* n_rows, finite, added to the model's output; owned; NULL: each is 0 */
    struct gr_persons persons; /* of a silo's rows with privacy.unit person; else none */
    /* Of rows that are evaluated, with evaluate.slices: n_rows x n_slicings, the group of each row
     * in each slicing, which are numbered through; owned; NULL: none. */
    uint16_t *groups;
    size_t n_slicings;
};

/* The exponent of rows of which none has a weight above 0: gr_rows_weight_exponent. */
enum { GR_WEIGHT_NONE = -1000 };

/* How a feature came out of its column. */
enum gr_feature_kind {
    GR_FEATURE_NUMBER,   /* the value itself, or scaled */
    GR_FEATURE_CODE,     /* a category's place, n_categories for an unknown one */
    GR_FEATURE_ONE_HOT,  /* 1 for one category of the column */
    GR_FEATURE_INDICATOR /* 1 where the column's value is missing */
};
struct gr_feature {
    enum gr_feature_kind kind;
    uint32_t column;       /* in the schema */
    uint32_t category;     /* one_hot: which */
    uint32_t n_categories; /* of the column */
};

/* Counts of the findings in a column; the rows stay, but for dropped ones. */
struct gr_found {
    int64_t missing;  /* and filled as the schema says */
    int64_t outside;  /* of the range */
    int64_t unknown;  /* no category of the column */
    int64_t censored; /* cells that stand for a bound, see gr_column */
    int64_t lost;     /* numbers that float32 does not tell apart as their digits do: `origin` */
    int64_t dropped;  /* rows left out, for this label or target is missing */
    int64_t present;  /* values that are there */
};

/* Whether parts of some CSV file were passed over: 1, or 0. */
struct gr_passed_over {
    int64_t sep_line, comments, row_names, empty_columns;
};

/*
 * The columns of a table, where it has some: CSV files, and HDF5 files imported from them. As read,
 * a row has a value for each column of numbers or categories: the number, or the category's place
 * in its list, their number for an unknown one; NaN where there is none. Features are what
 * preprocessing makes of the values.
 */
struct gr_columns {
    struct gr_schema *schema; /* owned */
    size_t *first_value;      /* of each column, in a row as read; owned */
    size_t n_values;
    uint32_t *column_of;         /* of each value; owned */
    size_t n_features;           /* 0 is possible: of open columns without categories */
    struct gr_feature *features; /* in the order of the columns; owned */
    int label, target, group;    /* columns; -1: there is none */
    int weight, offset;          /* likewise */
};

/* Not collective. Takes the schema over, also on failure. Release with gr_columns_free, which
 * accepts NULL. */
gr_status gr_columns_create(struct gr_schema *schema, struct gr_columns **out) GR_CHECKED;
/* Not collective. Releases columns with their schema and names; NULL is accepted. */
void gr_columns_free(struct gr_columns *columns);
/* Not collective. Lists the features anew, after the schema's categories have changed. */
gr_status gr_columns_list(struct gr_columns *columns) GR_CHECKED;
/* Bytes that the text of a difference needs at most. */
enum { GR_DIFFERENCE_BYTES = 512 };
/*
 * Not collective. Whether tables of these columns can be rows of one model: names, order, types,
 * categories (but of open columns) and preprocessing. False: `difference`, of `size` bytes, says
 * where they differ first, "column 3: found another name, expected "age"". The name found is never
 * told, because it may be a cell of a file without its header.
 */
bool gr_columns_fit(const struct gr_schema *found, const struct gr_schema *expected,
                    char *difference, size_t size);
/*
 * Not collective. As gr_columns_fit, where neither schema is a contract but both were found in
 * tables: `difference` has no names at all.
 */
bool gr_columns_alike(const struct gr_schema *found, const struct gr_schema *other,
                      char *difference, size_t size);
/*
 * Not collective. GR_OK, or GR_ERROR_DATA naming the column: where rows have numbers to be
 * predicted and no label, a model of classes would be trained on labels that are all 0. columns
 * NULL: GR_OK.
 */
gr_status gr_columns_have_label(const struct gr_columns *columns) GR_CHECKED;
/* Not collective. Returns the names of the classes, `classes` of them, borrowed from the label's
 * categories; NULL: nobody has named them, or so many. columns may be NULL. */
const char *const *gr_columns_class_names(const struct gr_columns *columns, size_t classes);
/* Not collective. The feature's name: "age", "sex=F", "chol_missing"; cut to size. */
void gr_feature_name(const struct gr_columns *columns, size_t feature, char *out, size_t size);

struct gr_preprocessing; /* opaque; see below */

/* Train, validation and test rows of a silo, in this order. */
enum { GR_SILO_PARTS = 3 };

/* Half a digest, where there is one for each row and nobody looks for two alike. */
enum { GR_CHAIN_BYTES = GR_DIGEST_BYTES / 2 };

struct gr_silo {
    uint32_t id;        /* 0 .. silos - 1 */
    uint32_t stream;    /* gr_silo_stream: what its random numbers go by */
    char pseudonym[24]; /* "silo-017"; the only name that may leave the process */
    struct gr_rows train;
    struct gr_rows validation;  /* may be empty, as the next */
    struct gr_rows test;        /* data.test_fraction of its rows: where there is no test table */
    struct gr_columns *columns; /* of its own table, until preprocessed; NULL: the data's; owned */
    gr_status unusable;         /* other than GR_OK: its own table was bad, and it has no rows */
    char *why;   /* the message then, which may name its files; owned; NULL when well */
    bool misfit; /* it is unusable because its columns are not those of the schema or the others */
    /* Rows of its own table that could not be read and were left out, and why the first one was;
     * only with privacy.unit row or person, and for the silo's own terminal and log. */
    size_t n_dropped;
    char *first_dropped;  /* owned; NULL: there is none */
    int64_t lost_weights; /* rows whose weight is too small to count, see gr_rows_scale_weights */
    /* Of its parts as they were read. A guessed table can be confirmed with one: it stays in the
     * process, and others get to know it salted. Undefined where the silo is unusable. */
    unsigned char digest[GR_SILO_PARTS][GR_DIGEST_BYTES];
    /* Of a table of its own, where a unit is hidden: chain[i] stands for the first i of its rows
     * that are used, in the order of the file and as they were read, whichever are held out. It
     * stays in the process as well. */
    size_t n_links;                         /* rows + 1; 0: there is none */
    unsigned char (*chain)[GR_CHAIN_BYTES]; /* n_links; owned */
};

/* A test batch has this many rows wherever it is evaluated, so that its sums have the same bits. */
enum { GR_TEST_BATCH = 500 };

/* Tables that all processes read. */
enum { GR_COMMON_TRAIN, GR_COMMON_TEST, GR_COMMON_TABLES };

struct gr_data {
    uint32_t n_silos; /* of the whole federation */
    size_t n_features;
    size_t n_dims; /* of a row: e.g. [28, 28]; 1: a plain list */
    size_t shape[GR_TENSOR_DIMS_MAX];
    uint32_t n_classes;
    size_t n_local;
    struct gr_silo *local; /* this process's silos, ascending id; owned */
    size_t n_test;         /* rows of the whole test table; 0: there is none, or test_why */
    char *test_why; /* the message why it cannot be read, where it is optional; owned; else NULL */
    size_t n_test_batches; /* ceil(n_test / GR_TEST_BATCH) */
    size_t n_local_batches;
    size_t
        *local_batch; /* test batches held here: batch b has rows from b * GR_TEST_BATCH; owned */
    bool silo_tables; /* a table per silo */
    size_t n_common;  /* rows of the one table that is dealt to the silos, else 0 */
    struct gr_columns *columns; /* NULL: the tables name none; owned, but when preprocessed its */
    struct gr_preprocessing *preprocessing; /* NULL: rows are as read; owned */
    struct gr_slicings *slicings; /* by which gr_data_preprocess groups held-out and test rows;
                                     NULL: none; owned */
    struct gr_found *found; /* n_local x columns, of each silo's rows; those of a common CSV table
                               are counted as silo 0's; owned */
    char *guessed; /* the types that the columns of this process's tables were taken for, where no
                      schema says it: lines for its own terminal; NULL: nothing; owned */
    struct gr_passed_over passed_over; /* in the files that this process read */
    struct gr_rows test;               /* the rows of local_batch, one batch after another */
    struct gr_columns *test_columns; /* of its table, until preprocessed; NULL: `columns`; owned */
    /* Of the answers of the tables that all processes read: to be compared, and never written. */
    unsigned char common_digest[GR_COMMON_TABLES][GR_DIGEST_BYTES]; /* zeros where there is none */
    /* Of the test table as it was read: the digests of this process's batches, cut into words of 32
     * bits, and these added; the sums over all processes are the table's. */
    int64_t test_digest[GR_DIGEST_WORDS];
};

/* Which part of the federation a process holds. */
struct gr_share {
    uint32_t n_silos;
    const uint32_t *silos; /* ascending ids; n_local of them; borrowed */
    size_t n_local;
    uint32_t test_index; /* holds the test batches b with b % test_count == test_index */
    uint32_t test_count;
    bool test_optional; /* a test table that cannot be read is none: see test_why */
    /* The shape that rows must have, of another process's silos; n_dims 0: the first table's. */
    size_t n_dims;
    size_t shape[GR_TENSOR_DIMS_MAX];
};

/*
 * Not collective. Loads (or generates) the share's silos: reads, partitions, holds rows out, checks
 * labels, refuses NaN and infinities and silos without a row. Every process finds the same
 * partition. Errors: GR_ERROR_DATA with file, place, found, expected. n_classes of the result is
 * the largest label + 1 over what this process read, or what an HDF5 table declares if that is
 * more; the caller takes the maximum over processes into n_classes.
 *
 * Where each silo has a table of its own, one that is bad, or has rows of another width than the
 * test table or the well silos before it, makes its silo `unusable` and nothing else. Where all
 * are, and there is no test table, n_features and n_classes are 0.
 */
gr_status gr_data_load(const struct gr_config *config, const struct gr_share *share,
                       struct gr_data **out) GR_CHECKED;
/*
 * Not collective. Rows as read become rows of features, in silos and test; those of data without
 * any rows too get their shape. Takes `preprocessing` over, also on failure, and then `data` can
 * only be released. Errors: GR_ERROR_CONFIG when it is of other columns, GR_ERROR_DATA for rows of
 * another kind.
 */
gr_status gr_data_preprocess(struct gr_data *data,
                             struct gr_preprocessing *preprocessing) GR_CHECKED;
/*
 * Not collective. Deals the test table anew, when there are other processes than before: replaces
 * test, local_batch and n_local_batches by the share of test_index and test_count. A batch holds
 * the same rows whoever has it. On failure the old share stays; a table that is no longer the one
 * that was loaded: GR_ERROR_DATA.
 */
gr_status gr_data_reload_test(const struct gr_config *config, uint32_t test_index,
                              uint32_t test_count, struct gr_data *data) GR_CHECKED;
/* Not collective. Leaves the data without test rows; test_why is gr_message. */
gr_status gr_data_drop_test(struct gr_data *data) GR_CHECKED;
/* Not collective. Releases the silos, their rows and the test rows; NULL is accepted. */
void gr_data_free(struct gr_data *data);

/* Not collective. Writes "silo-017" for 17: the same in every run, naming nobody. */
void gr_silo_pseudonym(uint32_t id, char out[24]);

/*
 * Not collective. A batch: features scaled to float32, out_features n x n_features, out_labels n,
 * out_targets n (rows without any: their labels; NULL: left alone). index: n row numbers <
 * rows->n_rows; NULL: rows first .. first + n - 1.
 */
void gr_rows_gather(const struct gr_rows *rows, const uint32_t *index, size_t first, size_t n,
                    float *out_features, int32_t *out_labels, float *out_targets);
/* Not collective. The smallest e for which all weights are at most 2^e; GR_WEIGHT_NONE: none is
 * above 0. */
int gr_rows_weight_exponent(const struct gr_rows *rows);
/* Not collective. Weights, all at most 2^exponent, are divided by that and rounded to multiples of
 * 2^-GR_WEIGHT_BITS. Returns how many above 0 have become 0 by that. */
size_t gr_rows_scale_weights(struct gr_rows *rows, int exponent);
/*
 * Not collective. Of the same rows: out_weights, n, each 1 without weights, and out_offsets, n,
 * each 0 without offsets; NULL: left alone.
 */
void gr_rows_gather_terms(const struct gr_rows *rows, const uint32_t *index, size_t first, size_t n,
                          float *out_weights, float *out_offsets);
/* Not collective. Releases the arrays of rows; a zeroed struct is accepted. */
void gr_rows_release(struct gr_rows *rows);

/* ---- preprocessing ------------------------------------------------------------------------ */

/* Not collective. A fit, ready to be applied. text: gr_fit_to_yaml's, kept. Errors: GR_ERROR_DATA.
 */
gr_status gr_preprocessing_create(const char *name, const char *text,
                                  struct gr_preprocessing **out) GR_CHECKED;
/* Not collective. Releases preprocessing; NULL is accepted. */
void gr_preprocessing_free(struct gr_preprocessing *p);
/* Not collective. Returns the text that it was created from. Borrowed. */
const char *gr_preprocessing_text(const struct gr_preprocessing *p);
/* Not collective. Returns the fit that is applied. Borrowed. */
const struct gr_fit *gr_preprocessing_fit(const struct gr_preprocessing *p);
/* Not collective. Returns the columns of the tables, NULL when these name none. Borrowed. */
struct gr_columns *gr_preprocessing_columns(const struct gr_preprocessing *p);
/* Not collective. Returns how many values a row has before preprocessing. */
size_t gr_preprocessing_values(const struct gr_preprocessing *p);
/* Not collective. Returns how many features a row has after preprocessing. */
size_t gr_preprocessing_features(const struct gr_preprocessing *p);

/* Not collective. Whether rows can be preprocessed at all: numbers, not bytes. what: names them. */
gr_status gr_preprocess_check(const char *what, enum gr_element element, float scale) GR_CHECKED;

/* How a value is treated, by schema and config. */
struct gr_treatment {
    bool number;      /* else a category */
    bool open;        /* its categories are all silos' */
    enum gr_scale by; /* never default */
    enum gr_missing missing;
    uint32_t n_categories;
    double low, high; /* numbers are clipped to these; infinities where not */
    bool ranged;      /* the column has a range: */
    double range[2];  /* from its origin, as values are */
};
/*
 * Not collective. Lists the treatment of n_values values of `columns`, or without columns of
 * n_values features. Caller releases with gr_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_treatments_create(const struct gr_preprocess_config *config,
                               const struct gr_columns *columns, size_t n_values,
                               struct gr_treatment **out) GR_CHECKED;

/*
 * Not collective. Of a silo's training rows as read: the least and greatest number of each value,
 * joined to the bounds that the lists hold already. least, greatest: n_values, in the order of a
 * row. Missing values and categories are passed over; numbers are clipped before.
 */
void gr_fit_spread(const struct gr_treatment *t, const struct gr_rows *rows, float *least,
                   float *greatest);
/*
 * Not collective. As gr_fit_spread: how many numbers each value has, and their sum. count, sum:
 * n_values, overwritten.
 */
void gr_fit_sums(const struct gr_treatment *t, const struct gr_rows *rows, int64_t *count,
                 double *sum);
/*
 * Not collective. As gr_fit_spread: distances from `mean`. greatest: the largest magnitude, joined
 * to the list; squares: the sum of squares, overwritten; n_values each.
 */
void gr_fit_deviations(const struct gr_treatment *t, const struct gr_rows *rows, const double *mean,
                       double *greatest, double *squares);
/* Not collective. Adds the rows of each category of one value to count[n_categories]. */
void gr_fit_categories(const struct gr_rows *rows, size_t value, uint32_t n_categories,
                       int64_t *count);

/* Categories of an open column that are being collected. */
struct gr_categories {
    char **text; /* in byte order; owned */
    uint32_t n, room;
};
/*
 * Not collective. Adds a category of `length` bytes, without a NUL behind it, unless it is there.
 * *room false: there would be more than GR_OPEN_CATEGORIES_MAX, and it is not added. Errors:
 * GR_ERROR_INTERNAL.
 */
gr_status gr_categories_add(struct gr_categories *c, const char *text, size_t length,
                            bool *room) GR_CHECKED;
/* Not collective. Returns the place of a category, or n when there is none of that text. */
uint32_t gr_categories_find(const struct gr_categories *c, const char *text);
/* Not collective. Moves the categories into the column's list, which owns them from then on. */
void gr_categories_give(struct gr_categories *c, struct gr_column *column);
/* Not collective. Releases the list; a zeroed struct is accepted. */
void gr_categories_release(struct gr_categories *c);

/* ---- partition ---------------------------------------------------------------------------- */

/*
 * Rows to silos: row_of lists all rows silo by silo; silo s has rows
 * row_of[first[s]] .. row_of[first[s+1]-1]. Both owned by the partition.
 */
struct gr_partition {
    uint32_t n_silos;
    size_t *first;    /* n_silos + 1 */
    uint32_t *row_of; /* n_rows */
};

/*
 * Not collective. Deals n_rows rows to n_silos silos by config->method. iid: a permutation cut into
 * equal parts. dirichlet: each class's rows are dealt by proportions drawn from Dir(alpha) over the
 * silos, drawn again until each silo has minimum_rows (Hsu, Qi, Brown 2019; at most 1,000 times).
 * shards: rows sorted by label, cut into silos * shards_per_silo shards, dealt at random (McMahan
 * et al. 2017, section 3). Draws from the stream (seed, 0, 0, GR_PURPOSE_PARTITION). Errors:
 * GR_ERROR_CONFIG.
 */
gr_status gr_partition_create(const struct gr_partition_config *config, uint64_t seed,
                              uint32_t n_silos, const int32_t *labels, size_t n_rows,
                              struct gr_partition *out) GR_CHECKED;
/*
 * Not collective. The partition `column`: row i goes to silo silo_of[i] < n_silos. Errors:
 * GR_ERROR_CONFIG for a silo of fewer than minimum_rows rows.
 */
gr_status gr_partition_by_group(const struct gr_partition_config *config, uint32_t n_silos,
                                const uint32_t *silo_of, size_t n_rows,
                                struct gr_partition *out) GR_CHECKED;
/* Not collective. Releases both lists; a zeroed struct is accepted. */
void gr_partition_release(struct gr_partition *partition);

/* ---- import ------------------------------------------------------------------------------- */

/*
 * Not collective. Writes rows `first` to `first + limit - 1` (limit 0: to the end) of an IDX pair
 * as a granary HDF5 table: /features (chunked by rows, uint8 or float32), /labels (int32),
 * attributes "format" = "granary-table", "version", "scale", "n_classes", and on /labels "role" =
 * "label". Streams in constant memory. Through a temporary name; nothing stays behind on failure.
 */
gr_status gr_import_idx(const char *features, const char *labels, size_t first, size_t limit,
                        const char *out_path) GR_CHECKED;

/* Told how far an import is, now and then. */
typedef void (*gr_import_progress)(void *context, size_t bytes, size_t total);

struct gr_import_options {
    struct gr_csv_config csv;
    const char *schema;          /* file; NULL or "": columns are guessed, see gr_csv_infer */
    const char *group;           /* then: the column of groups; NULL or "": none */
    size_t first, limit;         /* rows, as in gr_import_idx */
    gr_import_progress progress; /* NULL: none */
    void (*say)(void *context, const char *line); /* told what was found; NULL: nobody */
    void *context; /* both are called in a child process whose standard output is closed */
};

/*
 * Not collective. Writes the rows of a CSV file as a granary HDF5 table with float32 /features,
 * /labels (all 0 without a label column), float32 /targets when there is a target column, int32
 * /groups and the text /group_names (each with a NUL behind it; a row's group is a place in that
 * list) when there is a group column, and the text /columns, the schema as YAML, by which the table
 * is held against others and against a model. Streams in constant memory: the buffer of a row, and
 * a chunk of each dataset. Values stand as they were read (see gr_columns): nothing is filled in,
 * scaled or encoded. Without a schema, columns are guessed from the first 10,000 rows, and when
 * they do not hold, from all.
 */
gr_status gr_import_csv(const char *path, const struct gr_import_options *options,
                        const char *out_path) GR_CHECKED;

/* Rows as they were read, and the columns that they were read by; NULL: the table names none. */
struct gr_rows_part {
    const struct gr_rows *rows;
    const struct gr_columns *columns;
};
/*
 * Not collective. Writes the rows of n parts of `data`, which is not preprocessed, one after
 * another as a granary HDF5 table: the values as they were read, all columns of it, and the
 * categories of all parts in open ones. Errors: GR_ERROR_DATA, GR_ERROR_WRITE.
 */
gr_status gr_rows_write(const char *path, const struct gr_data *data,
                        const struct gr_rows_part *parts, size_t n) GR_CHECKED;

/* ---- guessing ------------------------------------------------------------------------------- */

/* Column of a table that is guessed, for the person whose table it is. Text is never NULL. */
struct gr_guess {
    char *taken;   /* its type and form, in a line: "number, decimal comma" */
    char *doubts;  /* lines for a person to look at; each ends in "\n" */
    bool left_out; /* it is text, and no feature */
};
enum gr_label_kind {
    GR_LABEL_NONE,
    GR_LABEL_TWO,     /* classes */
    GR_LABEL_CLASSES, /* any other number of them */
    GR_LABEL_NUMBER,
    GR_LABEL_COUNT /* whole numbers from 0 of many values */
};
struct gr_inference {
    struct gr_schema *schema; /* owned, like all below; NULL once a caller has taken it */
    struct gr_guess *guesses; /* n_columns, of each of its columns */
    size_t n_columns;
    char *notes;                          /* doubts of the whole table; "": none */
    size_t n_rows, n_unlabelled, n_unfit; /* n_unfit: cells that will be refused */
    enum gr_label_kind label_kind;
    uint32_t n_classes; /* of a label: those that were found */
    double label_mean;  /* of a number or count */
    size_t n_groups;    /* 0: there is no column of groups; SIZE_MAX: many */
    /* Second header rows, of units: how many tables have one, and where the first is. */
    size_t n_units, units_table, units_line; /* units_line 0: there is none */
};
struct gr_infer_options {
    const char *const *paths; /* tables of the same columns, taken together */
    size_t n_paths;
    const struct gr_csv_config *csv; /* csv->label: the column of labels; "": none */
    const char *group;               /* column of groups; "": none */
    size_t limit;                    /* rows of each table; 0: all */
    uint32_t threshold; /* texts of fewer rows are never told: data.disclosure_threshold */
    bool unlabelled;    /* a label that is not there is no error */
    bool federated;     /* the columns are to fit other rows and silos: see gr_csv_infer */
    bool names_told;    /* messages may name columns of the file: none but its owner reads them */
};
#define GR_NO_LABEL "no column is the label" /* begins the note that names the likely ones */
enum { GR_INFER_THRESHOLD = 10 };            /* where no config says another */
/*
 * Not collective. Guesses a schema: the type that fits nearly all cells of a column, with the keys
 * that say how they are written; the cells that do not fit are named by line. Identifiers, free
 * text and dates become columns of text, which are no features. Texts of rows are in the result
 * only where `threshold` rows have them, where they are the label's classes, or words that every
 * table has.
 *
 * federated: whole numbers are numbers, ranges are left out, missing values take the mean or the
 * mode, categories are open, and whole labels stay numbers, so that tables of other rows are
 * guessed alike as far as one table can know.
 *
 * Reads twice, in constant memory for each column. Errors: GR_ERROR_DATA; a label or group that is
 * not there with the nearest name.
 */
gr_status gr_csv_infer(const struct gr_infer_options *options,
                       struct gr_inference **out) GR_CHECKED;
/* Not collective. Releases a guess with all it holds; NULL is accepted. */
void gr_inference_free(struct gr_inference *inference);
/* Not collective. The schema as YAML, with the doubts as comments in front of their columns.
 * Caller: gr_free. */
gr_status gr_inference_to_yaml(const struct gr_inference *inference, char **out) GR_CHECKED;
/* Not collective. A line for each column, "NAME: TAKEN\n", and the notes. Caller: gr_free. */
gr_status gr_inference_tell(const struct gr_inference *inference, char **out) GR_CHECKED;

/* The size and form of a table, for `granary inspect`. */
struct gr_table_summary {
    size_t n_rows;
    size_t n_dims; /* of features, rows first */
    size_t shape[GR_TENSOR_DIMS_MAX];
    enum gr_element element;
    uint32_t n_classes;
};
/* Not collective. Summarises a table for `granary inspect`. Errors: GR_ERROR_DATA. */
gr_status gr_table_summarise(const struct gr_table_config *table, enum gr_data_source source,
                             struct gr_table_summary *out) GR_CHECKED;
/*
 * Not collective. As gr_table_summarise, for a table that is read as a config says (data.csv,
 * data.schema).
 */
gr_status gr_data_summarise(const struct gr_data_config *config,
                            const struct gr_table_config *table,
                            struct gr_table_summary *out) GR_CHECKED;

/*
 * Not collective. Tells a file's form: HDF5 or IDX by its first bytes, else CSV. Errors:
 * GR_ERROR_DATA.
 */
gr_status gr_table_find_source(const char *path, enum gr_data_source *out) GR_CHECKED;

/* Texts by which a person tells rows apart, one after the other. */
enum { GR_ID_BYTES_MAX = 1024 };
struct gr_ids {
    char *text;  /* owned */
    size_t *end; /* of each, in `text`; owned */
    size_t n, room, text_room;
};
/* Not collective. Returns the i-th id and its length in bytes; not terminated. Borrowed. */
const char *gr_ids_text(const struct gr_ids *ids, size_t i, size_t *length);

struct gr_table_options {
    enum gr_data_source source; /* a file: not synthetic */
    struct gr_csv_config csv;   /* csv only */
    bool labelled; /* labels are read and checked (gr_table_labels, n_rows of them); else the table
                      needs none */
    struct gr_domain domain; /* the labels or targets that a labelled table may have */
    /*
     * Rows become its features, from the columns of the same names; NULL: rows are as read. csv
     * needs one with columns, for it says what to read. Borrowed by the table.
     */
    const struct gr_preprocessing *preprocessing;
    const char *id; /* the column of row ids; NULL: none; GR_ERROR_USAGE where there is none such */
};
struct gr_table; /* opaque */
/*
 * Not collective. Opens a table that is read by ranges of rows, for scoring: only the features of
 * one range are in memory. Caller releases with gr_table_close. Errors: GR_ERROR_DATA,
 * GR_ERROR_USAGE for an id's column that is not there.
 */
gr_status gr_table_open(const struct gr_table_config *config,
                        const struct gr_table_options *options, struct gr_table **out) GR_CHECKED;
/* Not collective. Closes a table and releases all that was borrowed from it; NULL is accepted. */
void gr_table_close(struct gr_table *table);
/* Not collective. Returns how many rows the table has. */
size_t gr_table_n_rows(const struct gr_table *table);
/* Not collective. Returns how many features a row has, after preprocessing. */
size_t gr_table_n_features(const struct gr_table *table);
/*
 * Not collective. Returns the labels of all rows, n_rows of them; NULL: the table was not opened as
 * labelled. Borrowed.
 */
const int32_t *gr_table_labels(const struct gr_table *table);
/* Not collective. Whether rows have weights, which are read of a labelled table. */
bool gr_table_has_weights(const struct gr_table *table);
/* Not collective. Whether rows have offsets, which are read of every table. */
bool gr_table_has_offsets(const struct gr_table *table);
/*
 * Not collective. Returns the exponent by which gr_rows_scale_weights has scaled the weights; 0
 * without any.
 */
int gr_table_weight_exponent(const struct gr_table *table);
/* Not collective. Returns how many weights above 0 have become 0 by that scaling. */
size_t gr_table_lost_weights(const struct gr_table *table);
/* Not collective. Returns the table's own columns, NULL when it names none. Borrowed. */
const struct gr_columns *gr_table_columns(const struct gr_table *table);
/*
 * Not collective. Rows first .. first + n - 1, at or after those of the call before. *out is
 * borrowed until the next call; its labels are zeros where the table is not labelled.
 */
gr_status gr_table_read(struct gr_table *table, size_t first, size_t n,
                        const struct gr_rows **out) GR_CHECKED;
/*
 * Not collective. Returns the ids of the rows last read, n of them; NULL: no id was asked for.
 * Borrowed until the next gr_table_read.
 */
const struct gr_ids *gr_table_ids(const struct gr_table *table);
/* Not collective. Returns a bound on the bytes of the table's longest id. */
size_t gr_table_id_bytes(const struct gr_table *table);
/*
 * Not collective. Returns the findings in each column of the model, in its order; NULL: the model
 * has no columns. Borrowed. *whole: they are of all rows of the table, else of those read so far.
 */
const struct gr_found *gr_table_found(const struct gr_table *table, bool *whole);

#ifdef __cplusplus
}
#endif
#endif
