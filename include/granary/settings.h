/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings: every key of a config, a row each, by section.
 *
 * A row says a key's kind, name, default, flags and bounds. From it follow the member of the struct
 * below its section, the parser, the checker, the digest, `granary help config`, the completions
 * and --resolved. A new key is a new row; a rule between keys is a function in src/config/rules*.c.
 *
 *     X##_KIND(in, name, [type,] [most,] default, flags, [low, high])
 *
 *     WHOLE     uint32_t; WIDE: uint64_t; COUNT: uint32_t n_name
 *     REAL      double
 *     YES_NO    bool
 *     TEXT      char *, owned, never NULL; default NULL: ""
 *     ONE_OF    enum `type`, written as a word of the list of words; LAYER: as a GR_LAYER_TYPES
 *     WHOLES    uint32_t *name, owned, and unsigned name_count, at most `most`; TEXTS: char **name
 *     SECTION   struct `type`, whose keys are a list of rows; SECTIONS: a list of them
 *
 * default: as in YAML, of a list its entries with spaces between; NULL: it is required, or empty.
 * Once released it never changes its meaning, for keys at their default are left out of the digest.
 * flags: REQUIRED; DECIDES: the key decides the model's bits, and is digested; CHANGEABLE: it does
 * not, and may differ between a run and its resumption; ABOVE, BELOW: `low`, `high` themselves are
 * not allowed; SECONDS: it may be written with a unit, 10m, 36h or 2d. Bounds in capitals stand in
 * src/config/defaults.c.
 *
 * Interface: stable.
 */
#ifndef GRANARY_SETTINGS_H
#define GRANARY_SETTINGS_H

#include <granary/base.h>
#include <granary/metric.h>
#include <granary/postprocessing.h>
#include <granary/slices.h>
#include <granary/strategy.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A list of words as the values of an enum; a list of rows as the members of a struct. */
#define GR_VALUE(value, word)                  value,
#define GR_MEMBER_WHOLE(in, name, ...)         uint32_t name;
#define GR_MEMBER_WIDE(in, name, ...)          uint64_t name;
#define GR_MEMBER_COUNT(in, name, ...)         uint32_t n_##name;
#define GR_MEMBER_REAL(in, name, ...)          double name;
#define GR_MEMBER_YES_NO(in, name, ...)        bool name;
#define GR_MEMBER_TEXT(in, name, ...)          char *name;
#define GR_MEMBER_ONE_OF(in, name, type, ...)  enum type name;
#define GR_MEMBER_LAYER(in, name, type, ...)   enum type name;
#define GR_MEMBER_SECTION(in, name, type, ...) struct type name;
#define GR_MEMBER_STRATEGY(in, name, type)     struct type name;
#define GR_MEMBER_WHOLES(in, name, ...)                                                            \
    uint32_t *name;                                                                                \
    unsigned name##_count;
#define GR_MEMBER_TEXTS(in, name, ...)                                                             \
    char **name;                                                                                   \
    unsigned name##_count;
#define GR_MEMBER_SECTIONS(in, name, type, ...)                                                    \
    struct type *name;                                                                             \
    unsigned name##_count;

/* A row stands on a line of its own, which clang-format does not know. */
/* clang-format off */

/* ---- run ------------------------------------------------------------------------------------ */

#define GR_PLACEMENT_WORDS(WORD)                                                                   \
    WORD(GR_PLACEMENT_BLOCK, "block")                                                              \
    WORD(GR_PLACEMENT_CYCLIC, "cyclic")
enum gr_placement { GR_PLACEMENT_WORDS(GR_VALUE) };

#define GR_RUN_KEYS(X, in)                                                                         \
    /* The name of the run directory: letters, digits, '-', '_', '.'. */                           \
    X##_TEXT(in, name, "run", CHANGEABLE)                                                          \
    X##_WIDE(in, seed, "1", DECIDES, 0, UINT64_MAX)                                                \
    X##_WHOLE(in, rounds, NULL, REQUIRED | CHANGEABLE, 1, ROUNDS_MAX)                              \
    /* The parent of run directories. */                                                           \
    X##_TEXT(in, directory, "runs", CHANGEABLE)                                                    \
    /* Which rank hosts which silo. */                                                             \
    X##_ONE_OF(in, placement, gr_placement, GR_PLACEMENT_WORDS, "block", CHANGEABLE)               \
    /* Faults are allowed. */                                                                      \
    X##_YES_NO(in, rehearsal, "false", CHANGEABLE)
struct gr_run_config {
    GR_RUN_KEYS(GR_MEMBER, )
};

/* ---- data ----------------------------------------------------------------------------------- */

#define GR_SOURCE_WORDS(WORD)                                                                      \
    WORD(GR_SOURCE_IDX, "idx")                                                                     \
    WORD(GR_SOURCE_HDF5, "hdf5")                                                                   \
    WORD(GR_SOURCE_CSV, "csv")                                                                     \
    WORD(GR_SOURCE_SYNTHETIC, "synthetic")
enum gr_data_source { GR_SOURCE_WORDS(GR_VALUE) };

/* A table of rows on disk: files, whose contents a run compares by themselves when it is gone on
 * with. */
#define GR_TABLE_KEYS(X, in)                                                                       \
    /* idx: an IDX file, plain or .gz, of at least two dimensions and unsigned bytes. */           \
    X##_TEXT(in, features, NULL, CHANGEABLE)                                                       \
    /* idx: an IDX file of one dimension. */                                                       \
    X##_TEXT(in, labels, NULL, CHANGEABLE)                                                         \
    /* hdf5: a file that `granary import` made, or of its form. csv: a CSV file. */                \
    X##_TEXT(in, file, NULL, CHANGEABLE)
struct gr_table_config {
    GR_TABLE_KEYS(GR_MEMBER, )
};

#define GR_PARTITION_WORDS(WORD)                                                                   \
    WORD(GR_PARTITION_IID, "iid")                                                                  \
    WORD(GR_PARTITION_DIRICHLET, "dirichlet")                                                      \
    WORD(GR_PARTITION_SHARDS, "shards")                                                            \
    WORD(GR_PARTITION_COLUMN, "column")
enum gr_partition_method { GR_PARTITION_WORDS(GR_VALUE) };

#define GR_PARTITION_KEYS(X, in)                                                                   \
    X##_ONE_OF(in, method, gr_partition_method, GR_PARTITION_WORDS, "iid", DECIDES)                \
    /* dirichlet: the concentration. */                                                            \
    X##_REAL(in, alpha, "0.3", ABOVE, 0, 1e6)                                                      \
    /* shards. */                                                                                  \
    X##_WHOLE(in, shards_per_silo, "2", DECIDES, 1, 1000)                                          \
    /* Every silo gets at least this many rows. */                                                 \
    X##_WHOLE(in, minimum_rows, "1", DECIDES, 1, 1000000000)                                       \
    /* column: there is a silo for each value of it, in byte order; csv, and hdf5 imported from    \
     * csv. */                                                                                     \
    X##_TEXT(in, column, NULL, DECIDES)
struct gr_partition_config {
    GR_PARTITION_KEYS(GR_MEMBER, )
};

/* FedProx's synthetic(alpha, beta) (Li et al. 2020, section 5.1). */
#define GR_SYNTHETIC_KEYS(X, in)                                                                   \
    /* The variance of the silos' models around their means. */                                    \
    X##_REAL(in, alpha, "1", DECIDES, 0, 1e6)                                                      \
    /* The variance of the means of the silos' features. */                                        \
    X##_REAL(in, beta, "1", DECIDES, 0, 1e6)                                                       \
    X##_COUNT(in, features, "60", DECIDES, 1, WIDTH_MAX)                                           \
    X##_COUNT(in, classes, "10", DECIDES, 2, WIDTH_MAX)                                            \
    /* As in the paper's code: 50 + lognormal(4, 2), cut at maximum_rows. */                       \
    X##_WHOLE(in, minimum_rows, "50", DECIDES, 1, 1000000)                                         \
    X##_WHOLE(in, maximum_rows, "2000", DECIDES, 1, 1000000)                                       \
    /* Rows of each silo that go to the global test set. */                                        \
    X##_WHOLE(in, test_rows, "20", DECIDES, 0, 1000000)
struct gr_synthetic_config {
    GR_SYNTHETIC_KEYS(GR_MEMBER, )
};

#define GR_SEPARATOR_WORDS(WORD)                                                                   \
    WORD(GR_SEPARATOR_COMMA, "comma")                                                              \
    WORD(GR_SEPARATOR_SEMICOLON, "semicolon")                                                      \
    WORD(GR_SEPARATOR_TAB, "tab")                                                                  \
    WORD(GR_SEPARATOR_PIPE, "pipe")                                                                \
    WORD(GR_SEPARATOR_SPACE, "space")                                                              \
    /* Any number of spaces and tabs, also in front of the first field. */                         \
    WORD(GR_SEPARATOR_BLANKS, "blanks")                                                            \
    /* Found in each file by itself, from its ending and first lines. */                           \
    WORD(GR_SEPARATOR_AUTO, "auto")
enum gr_separator { GR_SEPARATOR_WORDS(GR_VALUE) };

/* How text is encoded in a CSV file. */
#define GR_TEXT_ENCODING_WORDS(WORD)                                                               \
    WORD(GR_TEXT_UTF8, "utf8")                                                                     \
    WORD(GR_TEXT_LATIN1, "latin1")
enum gr_encoding_of_text { GR_TEXT_ENCODING_WORDS(GR_VALUE) };

/* How CSV files are written. */
#define GR_CSV_KEYS(X, in)                                                                         \
    X##_ONE_OF(in, separator, gr_separator, GR_SEPARATOR_WORDS, "auto", DECIDES)                   \
    /* The first row names the columns. */                                                         \
    X##_YES_NO(in, header, "true", DECIDES)                                                        \
    /* Without data.schema: the column of labels. */                                               \
    X##_TEXT(in, label, "label", DECIDES)                                                          \
    X##_ONE_OF(in, encoding, gr_encoding_of_text, GR_TEXT_ENCODING_WORDS, "utf8", DECIDES)
struct gr_csv_config {
    GR_CSV_KEYS(GR_MEMBER, )
};

#define GR_DATA_KEYS(X, in)                                                                        \
    X##_ONE_OF(in, source, gr_data_source, GR_SOURCE_WORDS, NULL, REQUIRED)                        \
    /* The default, which is not itself allowed, stands for as many as there are silo_tables. */   \
    X##_WHOLE(in, silos, "0", DECIDES, 1, SILOS_MAX)                                               \
    /* The table that is dealt to the silos; unused with silo_tables. */                           \
    X##_SECTION(in, train, gr_table_config, GR_TABLE_KEYS)                                         \
    /* A table for each silo, in the order of the silos. */                                        \
    X##_SECTIONS(in, silo_tables, gr_table_config, GR_TABLE_KEYS, 10000, CHANGEABLE)               \
    /* The global test table; without it there are no test metrics but those of test_fraction. */  \
    X##_SECTION(in, test, gr_table_config, GR_TABLE_KEYS)                                          \
    X##_SECTION(in, partition, gr_partition_config, GR_PARTITION_KEYS)                             \
    X##_SECTION(in, synthetic, gr_synthetic_config, GR_SYNTHETIC_KEYS)                             \
    /* Decides which rows silos hold out, how one table is dealt to silos, and synthetic rows.     \
     * It is apart from run.seed, so that a sweep over run.seed is scored on one test set. */      \
    X##_WIDE(in, split_seed, "1", DECIDES, 0, UINT64_MAX)                                          \
    /* Shares of each silo's rows, together at most 0.9; test_fraction is for the test metrics     \
     * where there is no test table. */                                                            \
    X##_REAL(in, validation_fraction, "0", DECIDES, 0, 0.9)                                        \
    X##_REAL(in, test_fraction, "0", DECIDES, 0, 0.9)                                              \
    /* Both are drawn class by class, unless the model predicts numbers. */                        \
    X##_YES_NO(in, stratify, "true", DECIDES)                                                      \
    /* So many first rows of `train` are taken; 0: all. */                                         \
    X##_WHOLE(in, limit, "0", DECIDES, 0, UINT32_MAX)                                              \
    X##_SECTION(in, csv, gr_csv_config, GR_CSV_KEYS)                                               \
    /* The file that says which columns tables have, see gr_schema; "": none. */                   \
    X##_TEXT(in, schema, NULL, CHANGEABLE)                                                         \
    /* Smaller counts of findings in the data are told as "fewer than" it, and categories of       \
     * open columns that no silo has so often are unknown. */                                      \
    X##_WHOLE(in, disclosure_threshold, "10", DECIDES, 1, 1000000000)
struct gr_data_config {
    GR_DATA_KEYS(GR_MEMBER, )
};

/* ---- preprocess ----------------------------------------------------------------------------- */

/* How numbers are scaled, by statistics of all silos' training rows. */
#define GR_SCALE_WORDS(WORD)                                                                       \
    WORD(GR_SCALE_NONE, "none")                                                                    \
    /* Less the mean, divided by the standard deviation (of the population). */                    \
    WORD(GR_SCALE_STANDARDISE, "standardise")                                                      \
    /* The column's range to 0..1; without one, from the least to the greatest value, which the    \
     * model then tells. */                                                                        \
    WORD(GR_SCALE_MIN_MAX, "min_max")
#define GR_COLUMN_SCALE_WORDS(WORD)                                                                \
    /* Of a column only: preprocess.scale. */                                                      \
    WORD(GR_SCALE_DEFAULT, "default")                                                              \
    GR_SCALE_WORDS(WORD)
enum gr_scale { GR_SCALE_WORDS(GR_VALUE) GR_SCALE_DEFAULT };

/* From values of a table to features. Fitted before the first round, over the training rows of all
 * silos, and kept with the model. */
#define GR_PREPROCESS_KEYS(X, in)                                                                  \
    /* Of features that are numbers. */                                                            \
    X##_ONE_OF(in, scale, gr_scale, GR_SCALE_WORDS, "none", DECIDES)                               \
    /* Numbers beyond their column's range are set to its end. */                                  \
    X##_YES_NO(in, clip, "false", DECIDES)
struct gr_preprocess_config {
    GR_PREPROCESS_KEYS(GR_MEMBER, )
};

/* ---- model ---------------------------------------------------------------------------------- */

#define GR_MODEL_WORDS(WORD)                                                                       \
    WORD(GR_MODEL_SOFTMAX, "softmax")                                                              \
    WORD(GR_MODEL_MLP, "mlp")                                                                      \
    /* Linear regression: one output. */                                                           \
    WORD(GR_MODEL_LINEAR, "linear")                                                                \
    /* Binary logistic regression: one output, the log odds of label 1. */                         \
    WORD(GR_MODEL_LOGISTIC, "logistic")                                                            \
    /* Poisson regression: one output, the logarithm of the expected count. */                     \
    WORD(GR_MODEL_POISSON, "poisson")                                                              \
    /* `layers`, and a dense layer of the outputs behind them. */                                  \
    WORD(GR_MODEL_CNN, "cnn")                                                                      \
    /* Rows of ids: the mean of their vectors, `hidden` and the outputs. */                        \
    WORD(GR_MODEL_BAG, "bag")
enum gr_model_type { GR_MODEL_WORDS(GR_VALUE) };

#define GR_ACTIVATION_WORDS(WORD)                                                                  \
    WORD(GR_ACTIVATION_RELU, "relu")                                                               \
    WORD(GR_ACTIVATION_GELU, "gelu")                                                               \
    WORD(GR_ACTIVATION_TANH, "tanh")
#define GR_LAYER_ACTIVATION_WORDS(WORD)                                                            \
    GR_ACTIVATION_WORDS(WORD)                                                                      \
    WORD(GR_ACTIVATION_NONE, "none")                                                               \
    /* The model's for conv and dense, none for others. */                                         \
    WORD(GR_ACTIVATION_DEFAULT, "default")
enum gr_activation { GR_LAYER_ACTIVATION_WORDS(GR_VALUE) };

/*
 * The layers that model.layers may name: LAYER(type, name, needs, takes). The kind of a layer is
 * gr_layer_NAME, in a file of src/model/. needs, takes: the keys beside `type` that must and that
 * may be given.
 */
#define GR_LAYER_TYPES(LAYER)                                                                      \
    LAYER(GR_LAYER_CONV, conv, FILTERS | KERNEL, STRIDE | PADDING | ACTIVATION)                    \
    LAYER(GR_LAYER_MAX_POOL, max_pool, KERNEL, STRIDE)                                             \
    LAYER(GR_LAYER_AVERAGE_POOL, average_pool, KERNEL, STRIDE)                                     \
    LAYER(GR_LAYER_GROUP_NORM, group_norm, GROUPS, ACTIVATION)                                     \
    LAYER(GR_LAYER_DROPOUT, dropout, RATE, 0)                                                      \
    LAYER(GR_LAYER_DENSE, dense, WIDTH, ACTIVATION)
/* The layers of models that ask for them, never of model.layers. */
#define GR_FRONT_LAYER_TYPES(LAYER)                                                                \
    LAYER(GR_LAYER_EMBEDDING, embedding, 0, 0)                                                     \
    LAYER(GR_LAYER_BAG, bag, 0, 0)
#define GR_LAYER_VALUE(type, name, needs, takes) type,
enum gr_layer_type { GR_LAYER_TYPES(GR_LAYER_VALUE) GR_FRONT_LAYER_TYPES(GR_LAYER_VALUE) };
/* How many model.layers may name: the first of the enum. */
enum { GR_LAYER_TYPES_NAMED = GR_LAYER_EMBEDDING };

#define GR_PADDING_WORDS(WORD)                                                                     \
    WORD(GR_PADDING_VALID, "valid")                                                                \
    WORD(GR_PADDING_SAME, "same")
enum gr_padding { GR_PADDING_WORDS(GR_VALUE) };

/* One of model.layers. Keys that a type has no use for stay at their default. */
#define GR_LAYER_KEYS(X, in)                                                                       \
    X##_LAYER(in, type, gr_layer_type, NULL, REQUIRED)                                             \
    /* conv: channels that go out. */                                                              \
    X##_WHOLE(in, filters, "0", DECIDES, 0, WIDTH_MAX)                                             \
    /* dense: outputs. */                                                                          \
    X##_WHOLE(in, width, "0", DECIDES, 0, WIDTH_MAX)                                               \
    /* conv, pools: height and width of the window. */                                             \
    X##_WHOLE(in, kernel, "0", DECIDES, 0, KERNEL_MAX)                                             \
    /* conv, pools; 0: 1 for conv, `kernel` for pools. */                                          \
    X##_WHOLE(in, stride, "0", DECIDES, 0, KERNEL_MAX)                                             \
    /* conv. */                                                                                    \
    X##_ONE_OF(in, padding, gr_padding, GR_PADDING_WORDS, "valid", DECIDES)                        \
    /* conv, dense, group_norm. */                                                                 \
    X##_ONE_OF(in, activation, gr_activation, GR_LAYER_ACTIVATION_WORDS, "default", DECIDES)       \
    /* group_norm: divides the channels. */                                                        \
    X##_WHOLE(in, groups, "0", DECIDES, 0, WIDTH_MAX)                                              \
    /* dropout: the share that is set to zero. */                                                  \
    X##_REAL(in, rate, "0", BELOW, 0, 1)
struct gr_layer_config {
    GR_LAYER_KEYS(GR_MEMBER, )
};

#define GR_INITIALISATION_WORDS(WORD)                                                              \
    WORD(GR_INITIALISE_HE, "he")                                                                   \
    WORD(GR_INITIALISE_GLOROT, "glorot")
enum gr_initialisation { GR_INITIALISATION_WORDS(GR_VALUE) };

#define GR_COMPUTE_WORDS(WORD)                                                                     \
    WORD(GR_COMPUTE_FLOAT32, "float32")                                                            \
    WORD(GR_COMPUTE_BFLOAT16, "bfloat16")
enum gr_compute { GR_COMPUTE_WORDS(GR_VALUE) };

#define GR_LOSS_WORDS(WORD)                                                                        \
    /* The model's: cross_entropy, squared, binary_cross_entropy or poisson. */                    \
    WORD(GR_LOSS_DEFAULT, "default")                                                               \
    WORD(GR_LOSS_CROSS_ENTROPY, "cross_entropy")                                                   \
    WORD(GR_LOSS_BINARY_CROSS_ENTROPY, "binary_cross_entropy")                                     \
    WORD(GR_LOSS_SQUARED, "squared")                                                               \
    WORD(GR_LOSS_HUBER, "huber")                                                                   \
    WORD(GR_LOSS_POISSON, "poisson")
enum gr_loss_type { GR_LOSS_WORDS(GR_VALUE) };

#define GR_MODEL_KEYS(X, in)                                                                       \
    X##_ONE_OF(in, type, gr_model_type, GR_MODEL_WORDS, NULL, REQUIRED)                            \
    /* mlp, bag: widths of the hidden layers; an mlp has at least one. */                          \
    X##_WHOLES(in, hidden, 32, NULL, DECIDES, 1, WIDTH_MAX)                                        \
    /* cnn: at least one; layers of images first, then dense ones. */                              \
    X##_SECTIONS(in, layers, gr_layer_config, GR_LAYER_KEYS, 64, DECIDES)                          \
    /* mlp: a category's code becomes a vector of so many numbers; 0: it stays a number. bag: an   \
     * id becomes such a vector; at least 1. */                                                    \
    X##_WHOLE(in, embedding, "0", DECIDES, 0, WIDTH_MAX)                                           \
    /* bag: ids are 1 to this; 0: there are none. */                                               \
    X##_WHOLE(in, vocabulary, "0", DECIDES, 0, WHOLE_MAX)                                          \
    /* Classes of the label; a label beyond is refused; 0: as many as the schema lists or the      \
     * silos' labels show. */                                                                      \
    X##_WHOLE(in, classes, "0", DECIDES, 0, WIDTH_MAX)                                             \
    X##_ONE_OF(in, activation, gr_activation, GR_ACTIVATION_WORDS, "relu", DECIDES)                \
    X##_ONE_OF(in, initialisation, gr_initialisation, GR_INITIALISATION_WORDS, "he", DECIDES)      \
    X##_ONE_OF(in, compute, gr_compute, GR_COMPUTE_WORDS, "float32", DECIDES)                      \
    X##_ONE_OF(in, loss, gr_loss_type, GR_LOSS_WORDS, "default", DECIDES)                          \
    /* cross_entropy, in training. */                                                              \
    X##_REAL(in, label_smoothing, "0", BELOW, 0, 1)                                                \
    /* huber. */                                                                                   \
    X##_REAL(in, huber_delta, "1", ABOVE, 0, 1e6)                                                  \
    /* A model.h5 that a run starts from, in the place of initialisation; "": none. */             \
    X##_TEXT(in, initial, NULL, CHANGEABLE)                                                        \
    /* Its digest, as `granary inspect --digest` prints it. */                                     \
    X##_TEXT(in, initial_digest, NULL, DECIDES)
struct gr_model_config {
    GR_MODEL_KEYS(GR_MEMBER, )
};

/* ---- train ---------------------------------------------------------------------------------- */

#define GR_SCHEDULE_WORDS(WORD)                                                                    \
    WORD(GR_SCHEDULE_CONSTANT, "constant")                                                         \
    WORD(GR_SCHEDULE_STEP, "step")                                                                 \
    WORD(GR_SCHEDULE_COSINE, "cosine")
enum gr_schedule_type { GR_SCHEDULE_WORDS(GR_VALUE) };

/* The learning rate of a round; see gr_learning_rate (train.h). */
#define GR_SCHEDULE_KEYS(X, in)                                                                    \
    X##_ONE_OF(in, type, gr_schedule_type, GR_SCHEDULE_WORDS, "constant", DECIDES)                 \
    /* The rate rises over so many first rounds. */                                                \
    X##_WHOLE(in, warmup_rounds, "0", DECIDES, 0, ROUNDS_MAX)                                      \
    /* step: rounds between falls. */                                                              \
    X##_WHOLE(in, every, "10", DECIDES, 1, ROUNDS_MAX)                                             \
    /* step: the rate after a fall by the rate before it. */                                       \
    X##_REAL(in, factor, "0.5", ABOVE, 0, 1)                                                       \
    /* step, cosine: the rate never falls below. */                                                \
    X##_REAL(in, minimum, "0", DECIDES, 0, RATE_MAX)                                               \
    /* cosine: the round of the minimum; 0: run.rounds. */                                         \
    X##_WHOLE(in, rounds, "0", DECIDES, 0, ROUNDS_MAX)
struct gr_schedule_config {
    GR_SCHEDULE_KEYS(GR_MEMBER, )
};

#define GR_OPTIMIZER_WORDS(WORD)                                                                   \
    WORD(GR_OPTIMIZER_SGD, "sgd")                                                                  \
    WORD(GR_OPTIMIZER_NESTEROV, "nesterov")                                                        \
    WORD(GR_OPTIMIZER_ADAM, "adam")                                                                \
    WORD(GR_OPTIMIZER_ADAMW, "adamw")
enum gr_optimizer { GR_OPTIMIZER_WORDS(GR_VALUE) };

#define GR_SOLVER_STATE_WORDS(WORD)                                                                \
    WORD(GR_SOLVER_RESET, "reset")                                                                 \
    WORD(GR_SOLVER_KEEP, "keep")
enum gr_solver_state { GR_SOLVER_STATE_WORDS(GR_VALUE) };

#define GR_CLASS_WEIGHTS_WORDS(WORD)                                                               \
    WORD(GR_CLASS_WEIGHTS_NONE, "none")                                                            \
    WORD(GR_CLASS_WEIGHTS_BALANCED, "balanced")
enum gr_class_weights { GR_CLASS_WEIGHTS_WORDS(GR_VALUE) };

#define GR_TRAIN_KEYS(X, in)                                                                       \
    X##_ONE_OF(in, optimizer, gr_optimizer, GR_OPTIMIZER_WORDS, "sgd", DECIDES)                    \
    X##_REAL(in, learning_rate, NULL, REQUIRED | ABOVE, 0, RATE_MAX)                               \
    X##_SECTION(in, schedule, gr_schedule_config, GR_SCHEDULE_KEYS)                                \
    /* sgd, nesterov. */                                                                           \
    X##_REAL(in, momentum, "0", BELOW, 0, 1)                                                       \
    /* adam, adamw. */                                                                             \
    X##_REAL(in, beta1, "0.9", BELOW, 0, 1)                                                        \
    X##_REAL(in, beta2, "0.999", BELOW, 0, 1)                                                      \
    /* adam, adamw. Less would be 0 in float32, and 0 / 0 wherever a gradient is 0. */             \
    X##_REAL(in, epsilon, "1e-8", DECIDES, FLT_MIN, 1)                                             \
    /* weight_decay parameter is added to the gradient; adamw: taken off the parameter by          \
     * itself. */                                                                                  \
    X##_REAL(in, weight_decay, "0", DECIDES, 0, RATE_MAX)                                          \
    /* Biases decay like weights; false: they do not, as in ridge regression. */                   \
    X##_YES_NO(in, decay_biases, "true", DECIDES)                                                  \
    /* Momentum, Adam's moments and steps between a silo's rounds. */                              \
    X##_ONE_OF(in, state, gr_solver_state, GR_SOLVER_STATE_WORDS, "reset", DECIDES)                \
    /* The largest L2 norm of a batch's gradient; 0: any. */                                       \
    X##_REAL(in, max_gradient_norm, "0", DECIDES, 0, 1e6)                                          \
    /* FedProx: the pull towards the round's global model. */                                      \
    X##_REAL(in, proximal_mu, "0", DECIDES, 0, RATE_MAX)                                           \
    /* balanced: by the rows of all silos, see gr_model_balance_classes. */                        \
    X##_ONE_OF(in, class_weights, gr_class_weights, GR_CLASS_WEIGHTS_WORDS, "none", DECIDES)       \
    X##_WHOLE(in, batch_size, NULL, REQUIRED, 1, 65536)                                            \
    /* Local epochs, or local steps, of a round; exactly one of the two is above 0. */             \
    X##_WHOLE(in, epochs, "1", DECIDES, 0, 1000000)                                                \
    X##_WHOLE(in, steps, "0", DECIDES, 0, 1000000000)                                              \
    /* A silo's training ends after the batch in which so much time has passed; 0: no limit.       \
     * Bits then depend on the machine. */                                                         \
    X##_REAL(in, seconds, "0", SECONDS, 0, SECONDS_MAX)
struct gr_train_config {
    GR_TRAIN_KEYS(GR_MEMBER, )
};

/* ---- round ---------------------------------------------------------------------------------- */

/* Silos that can take part in rounds `from` to `to` only. Digested with their list. */
#define GR_AVAILABILITY_KEYS(X, in)                                                                \
    X##_WHOLES(in, silos, 1000, NULL, REQUIRED | CHANGEABLE, 0, SILOS_MAX - 1)                     \
    X##_WHOLE(in, from, "1", CHANGEABLE, 1, ROUNDS_MAX)                                            \
    /* 0: to the end. */                                                                           \
    X##_WHOLE(in, to, "0", CHANGEABLE, 0, ROUNDS_MAX)
struct gr_availability_config {
    GR_AVAILABILITY_KEYS(GR_MEMBER, )
};

#define GR_SAMPLING_WORDS(WORD)                                                                    \
    WORD(GR_SAMPLING_UNIFORM, "uniform")                                                           \
    WORD(GR_SAMPLING_SIZE, "size")                                                                 \
    WORD(GR_SAMPLING_CYCLIC, "cyclic")                                                             \
    WORD(GR_SAMPLING_LIST, "list")
enum gr_sampling { GR_SAMPLING_WORDS(GR_VALUE) };

#define GR_ROUND_KEYS(X, in)                                                                       \
    /* Silos drawn for a round; 0: all. */                                                         \
    X##_WHOLE(in, participants, "0", DECIDES, 0, SILOS_MAX)                                        \
    /* How they are drawn; see gr_sampler_draw (federation.h). */                                  \
    X##_ONE_OF(in, sampling, gr_sampling, GR_SAMPLING_WORDS, "uniform", DECIDES)                   \
    /* Every rank may learn how many rows each silo trains on, which sampling by size needs. */    \
    X##_YES_NO(in, share_sizes, "false", CHANGEABLE)                                               \
    /* sampling list: silos in none of them are always there. */                                   \
    X##_SECTIONS(in, availability, gr_availability_config, GR_AVAILABILITY_KEYS, 1000, DECIDES)    \
    /* The fewest silos in a round's sum, or the run stops. */                                     \
    X##_WHOLE(in, quorum, "1", CHANGEABLE, 1, SILOS_MAX)                                           \
    /* For all silos to have trained, in seconds; silos that have not are late. */                 \
    X##_REAL(in, deadline_s, "3600", ABOVE | CHANGEABLE | SECONDS, 0, SECONDS_MAX)                 \
    /* For a rank to do its part in a sum or record. */                                            \
    X##_REAL(in, collective_deadline_s, "60", ABOVE | CHANGEABLE | SECONDS, 0, SECONDS_MAX)        \
    /* A rank that trains and gives no sign for so long is given up until it does; 0: only at      \
     * deadline_s. */                                                                              \
    X##_REAL(in, heartbeat_s, "30", CHANGEABLE | SECONDS, 0, SECONDS_MAX)                          \
    /* Before round 1: how long a rank may give no sign before the start is given up. */           \
    X##_REAL(in, start_deadline_s, "600", ABOVE | CHANGEABLE | SECONDS, 0, SECONDS_MAX)            \
    /* Lost ranks are replaced by MPI_Comm_spawn. */                                               \
    X##_YES_NO(in, respawn, "false", CHANGEABLE)                                                   \
    /* The events.jsonl whose silos, round by round, take part. */                                 \
    X##_TEXT(in, replay, NULL, CHANGEABLE)
struct gr_round_config {
    GR_ROUND_KEYS(GR_MEMBER, )
};

/* ---- aggregation ---------------------------------------------------------------------------- */

#define GR_ENCODING_WORDS(WORD)                                                                    \
    WORD(GR_ENCODING_RING32, "ring32")                                                             \
    WORD(GR_ENCODING_RING64, "ring64")                                                             \
    WORD(GR_ENCODING_RING16, "ring16")                                                             \
    WORD(GR_ENCODING_FLOAT32, "float32")
enum gr_encoding { GR_ENCODING_WORDS(GR_VALUE) };
/* Silos in a round whose updates in ring16 keep 3 bits and a sign. */
enum { GR_RING16_SILOS_MAX = 4095 };

#define GR_GRID_WORDS(WORD)                                                                        \
    WORD(GR_GRID_AGREED, "agreed")                                                                 \
    WORD(GR_GRID_PUBLIC, "public")
enum gr_grid { GR_GRID_WORDS(GR_VALUE) };

#define GR_BETWEEN_WORDS(WORD)                                                                     \
    WORD(GR_BETWEEN_AUTO, "auto")                                                                  \
    WORD(GR_BETWEEN_TREE, "tree")                                                                  \
    WORD(GR_BETWEEN_DIRECT, "direct")                                                              \
    WORD(GR_BETWEEN_MPI, "mpi")
enum gr_between { GR_BETWEEN_WORDS(GR_VALUE) };

#define GR_AGGREGATION_KEYS(X, in)                                                                 \
    /* ring16: at most GR_RING16_SILOS_MAX silos in a round. */                                    \
    X##_ONE_OF(in, encoding, gr_encoding, GR_ENCODING_WORDS, "ring32", DECIDES)                    \
    /* The exponents of a sum follow from the updates, or from the two numbers below. */           \
    X##_ONE_OF(in, grid, gr_grid, GR_GRID_WORDS, "agreed", DECIDES)                                \
    /* With a public grid: the L2 norm that a silo's update is cut to, and the most that a silo    \
     * weighs; both above 0. */                                                                    \
    X##_REAL(in, clip_norm, "0", DECIDES, 0, 1e6)                                                  \
    X##_REAL(in, weight_max, "0", DECIDES, 0, 1e9)                                                 \
    /* Ranks that share a memory window; 0: as found; 1: never. */                                 \
    X##_WHOLE(in, ranks_per_node, "0", CHANGEABLE, 0, SILOS_MAX)                                   \
    /* How sums travel between nodes: by messages along a tree, or between all leaders, or by      \
     * MPI_Iallreduce; auto: the fastest of the first rounds. Not with float32 but the tree. */    \
    X##_ONE_OF(in, between, gr_between, GR_BETWEEN_WORDS, "auto", CHANGEABLE)
struct gr_aggregation_config {
    GR_AGGREGATION_KEYS(GR_MEMBER, )
};

/* ---- secure --------------------------------------------------------------------------------- */

/* Secure sums (Bonawitz et al. 2017): of each silo, or each site of a study, nobody sees its part
 * of a sum. */
#define GR_SECURE_KEYS(X, in)                                                                      \
    X##_YES_NO(in, aggregation, "false", DECIDES)                                                  \
    /* Parties that must be there to open a sum; 0: gr_secure_threshold_default of all. */         \
    X##_WHOLE(in, threshold, "0", DECIDES, 0, SILOS_MAX)                                           \
    /* Parties that may work together to see the part of another: so many learn nothing. */        \
    X##_WHOLE(in, colluding, "0", DECIDES, 0, SILOS_MAX)                                           \
    /* Other parties with which each makes masks, at least, of more than 64; 0: as few as do. */   \
    X##_WHOLE(in, neighbours, "0", DECIDES, 0, SILOS_MAX)
struct gr_secure_config {
    GR_SECURE_KEYS(GR_MEMBER, )
};

/* ---- privacy -------------------------------------------------------------------------------- */

#define GR_PRIVACY_UNIT_WORDS(WORD)                                                                \
    WORD(GR_PRIVACY_NONE, "none")                                                                  \
    WORD(GR_PRIVACY_ROW, "row")                                                                    \
    WORD(GR_PRIVACY_PERSON, "person")                                                              \
    WORD(GR_PRIVACY_SILO, "silo")
enum gr_privacy_unit { GR_PRIVACY_UNIT_WORDS(GR_VALUE) };

/* In the order of enum gr_adjacency (privacy/accounting.h). */
#define GR_NEIGHBOURS_WORDS(WORD)                                                                  \
    WORD(GR_NEIGHBOURS_ADD_REMOVE, "add_remove")                                                   \
    WORD(GR_NEIGHBOURS_ZERO_OUT, "zero_out")                                                       \
    WORD(GR_NEIGHBOURS_REPLACE, "replace")
enum gr_neighbours { GR_NEIGHBOURS_WORDS(GR_VALUE) };

#define GR_NOISE_WORDS(WORD)                                                                       \
    WORD(GR_NOISE_SILO, "silo")                                                                    \
    WORD(GR_NOISE_SHARED, "shared")                                                                \
    WORD(GR_NOISE_ROOT, "root")
enum gr_noise_place { GR_NOISE_WORDS(GR_VALUE) };

#define GR_PRIVATE_SAMPLING_WORDS(WORD)                                                            \
    WORD(GR_PRIVATE_SAMPLING_POISSON, "poisson")                                                   \
    WORD(GR_PRIVATE_SAMPLING_FIXED, "fixed")
enum gr_private_sampling { GR_PRIVATE_SAMPLING_WORDS(GR_VALUE) };

#define GR_CORRELATED_WORDS(WORD)                                                                  \
    WORD(GR_CORRELATED_NONE, "none")                                                               \
    WORD(GR_CORRELATED_BANDED, "banded")                                                           \
    WORD(GR_CORRELATED_BLT, "blt")
enum gr_correlated { GR_CORRELATED_WORDS(GR_VALUE) };

#define GR_CORRELATION_KEYS(X, in)                                                                 \
    /* The noise of a step takes back some of that of the steps before it in a round: of as many   \
     * as there are bands, or of all, by a few sums over them. */                                  \
    X##_ONE_OF(in, type, gr_correlated, GR_CORRELATED_WORDS, "none", DECIDES)                      \
    /* banded: steps whose noise hangs together, this one included; blt: sums over the steps. */   \
    X##_WHOLE(in, bands, "0", DECIDES, 0, 1024)
struct gr_correlation_config {
    GR_CORRELATION_KEYS(GR_MEMBER, )
};

#define GR_EXHAUSTED_WORDS(WORD)                                                                   \
    WORD(GR_EXHAUSTED_REFUSE, "refuse")                                                            \
    WORD(GR_EXHAUSTED_STOP, "stop")
enum gr_exhausted { GR_EXHAUSTED_WORDS(GR_VALUE) };

#define GR_BUDGET_KEYS(X, in)                                                                      \
    /* The most that all runs over a silo's table may tell of a unit; 0: there is no limit. */     \
    X##_REAL(in, epsilon, "0", CHANGEABLE, 0, 1e6)                                                 \
    /* Required with a unit. */                                                                    \
    X##_REAL(in, delta, "0", BELOW | CHANGEABLE, 0, 1)                                             \
    /* Where not all rounds fit: nothing is begun, or it stops before the first that does not. */  \
    X##_ONE_OF(in, on_exhausted, gr_exhausted, GR_EXHAUSTED_WORDS, "refuse", CHANGEABLE)
struct gr_budget_config {
    GR_BUDGET_KEYS(GR_MEMBER, )
};

/* Of silos: a clip norm that follows the norms of updates (Andrew et al. 2021). */
#define GR_ADAPTIVE_CLIPPING_KEYS(X, in)                                                           \
    /* The share of updates that are not cut, to which it goes; 0: it stays at clip_norm. */       \
    X##_REAL(in, quantile, "0", BELOW | DECIDES, 0, 1)                                             \
    /* In a round the norm changes by up to a factor exp(this). */                                 \
    X##_REAL(in, learning_rate, "0.2", DECIDES, 0, 2)                                              \
    /* Standard deviation of the noise in the count of those that are not cut; 0: a twentieth of   \
     * the silos of a round. */                                                                    \
    X##_REAL(in, count_noise, "0", DECIDES, 0, 1000)
struct gr_adaptive_clipping_config {
    GR_ADAPTIVE_CLIPPING_KEYS(GR_MEMBER, )
};

/* Scores of rows that silos hold out, with noise in them. */
#define GR_NOISED_EVALUATION_KEYS(X, in)                                                           \
    /* Standard deviation of the noise in a silo's counts and losses / the most, in the L2 norm,   \
     * that a row adds to all of them; 0: no row is held out. */                                   \
    X##_REAL(in, noise_multiplier, "0", DECIDES, 0, 1e6)                                           \
    /* The most evaluations of a run: each of them costs. */                                       \
    X##_WHOLE(in, times, "0", DECIDES, 0, ROUNDS_MAX)                                              \
    /* A row's loss counts with as much at most. */                                                \
    X##_REAL(in, loss_bound, "4", ABOVE, 0, 1e6)
struct gr_noised_evaluation_config {
    GR_NOISED_EVALUATION_KEYS(GR_MEMBER, )
};

/* Means, deviations and modes of columns, with noise in them, for preprocessing. */
#define GR_NOISED_STATISTICS_KEYS(X, in)                                                           \
    /* Of rows and persons: standard deviation of the noise in a silo's sums / the most, in the L2 \
     * norm, that a unit adds to all of them; 0: no column is standardised or filled by them. */   \
    X##_REAL(in, noise_multiplier, "0", DECIDES, 0, 1e6)
struct gr_noised_statistics_config {
    GR_NOISED_STATISTICS_KEYS(GR_MEMBER, )
};

/* Differential privacy: whose presence is hidden, and by which noise. */
#define GR_PRIVACY_KEYS(X, in)                                                                     \
    X##_ONE_OF(in, unit, gr_privacy_unit, GR_PRIVACY_UNIT_WORDS, "none", DECIDES)                  \
    X##_ONE_OF(in, adjacency, gr_neighbours, GR_NEIGHBOURS_WORDS, "add_remove", DECIDES)           \
    /* The most, in the L2 norm, that a unit adds to a sum. */                                     \
    X##_REAL(in, clip_norm, "0", DECIDES, 0, 1e6)                                                  \
    /* Standard deviation of the noise in a sum / clip_norm. */                                    \
    X##_REAL(in, noise_multiplier, "0", DECIDES, 0, 1e6)                                           \
    /* By each silo in each of its steps; in shares by all, under secure sums; or by rank 0. */    \
    X##_ONE_OF(in, noise, gr_noise_place, GR_NOISE_WORDS, "silo", DECIDES)                         \
    /* Of rows and persons. */                                                                     \
    X##_ONE_OF(in, sampling, gr_private_sampling, GR_PRIVATE_SAMPLING_WORDS, "poisson", DECIDES)   \
    /* Of rows and persons: the mean number of them in a step, by which its sum is divided. */     \
    X##_WHOLE(in, expected_batch, "0", DECIDES, 0, 16777216)                                       \
    /* Of rows and persons: how many a silo has, as everybody may know. poisson: each is in a      \
     * step with probability expected_batch / expected_units; fixed: the places of a pass. */      \
    X##_WHOLE(in, expected_units, "0", DECIDES, 0, UINT32_MAX)                                     \
    /* Of persons: the most rows of one in a step. Of whoever has more, others are taken each     \
     * time. */                                                                                    \
    X##_WHOLE(in, rows_per_person, "16", DECIDES, 1, 64)                                           \
    /* Of fixed sampling. */                                                                       \
    X##_SECTION(in, correlation, gr_correlation_config, GR_CORRELATION_KEYS)                       \
    X##_SECTION(in, adaptive_clipping, gr_adaptive_clipping_config, GR_ADAPTIVE_CLIPPING_KEYS)     \
    X##_SECTION(in, evaluation, gr_noised_evaluation_config, GR_NOISED_EVALUATION_KEYS)            \
    X##_SECTION(in, statistics, gr_noised_statistics_config, GR_NOISED_STATISTICS_KEYS)            \
    X##_SECTION(in, budget, gr_budget_config, GR_BUDGET_KEYS)
struct gr_privacy_config {
    GR_PRIVACY_KEYS(GR_MEMBER, )
};

/* ---- evaluate, stop ------------------------------------------------------------------------- */

#define GR_RESAMPLED_WORDS(WORD)                                                                   \
    /* Rows, of the silos that there are. */                                                       \
    WORD(GR_RESAMPLED_ROW, "row")                                                                  \
    /* Silos, each with all its rows: what other silos like these would have. */                   \
    WORD(GR_RESAMPLED_SILO, "silo")
enum gr_resampled { GR_RESAMPLED_WORDS(GR_VALUE) };

#define GR_BOOTSTRAP_KEYS(X, in)                                                                   \
    /* After the last round: so many times each row (or silo) counts as often as a draw of its     \
     * own says, Poisson with mean 1; 0: never. */                                                 \
    X##_WHOLE(in, replicates, "0", CHANGEABLE, 0, GR_REPLICATES_MAX)                               \
    /* Of which the draws are. */                                                                  \
    X##_ONE_OF(in, unit, gr_resampled, GR_RESAMPLED_WORDS, "row", CHANGEABLE)
struct gr_bootstrap_config {
    GR_BOOTSTRAP_KEYS(GR_MEMBER, )
};

/* Sets of classes or intervals that hold the answer with a probability of 1 - alpha. */
#define GR_CONFORMAL_KEYS(X, in)                                                                   \
    /* 0: there are none. */                                                                       \
    X##_REAL(in, alpha, "0", CHANGEABLE, 0, 0.5)
struct gr_conformal_config {
    GR_CONFORMAL_KEYS(GR_MEMBER, )
};

#define GR_EVALUATE_KEYS(X, in)                                                                    \
    /* A test evaluation each this many rounds, and after the last; 0: never. */                   \
    X##_WHOLE(in, every, "1", CHANGEABLE, 0, ROUNDS_MAX)                                           \
    /* Beside loss and accuracy, in metrics.jsonl: of the test rows, or where there is no test     \
     * table of all validation rows. auc and average_precision cost up to 512 KiB for each rank    \
     * to send; after the last round all of them are found, for evaluation.json. Metrics that do   \
     * not fit the model are passed over. */                                                                         \
    X##_TEXTS(in, metrics, GR_METRICS_MAX, "balanced_accuracy macro_f1 calibration_error mae r2",  \
              CHANGEABLE, metric_word)                                                             \
    /* Thresholds of two classes, chosen on validation rows and told on those that the metrics are  \
     * of, for evaluation.json: youden, sensitivity=0.9, specificity=0.9. */                       \
    X##_TEXTS(in, operating_points, GR_POINTS_MAX, NULL, CHANGEABLE, NULL)                         \
    /* Groups of rows that metrics and fairness are told of as well, after the last round, for     \
     * evaluation.json: columns of the tables, with cut points behind numbers and & where they are \
     * crossed: region, age=40/65, sex & age=40/65. */                                             \
    X##_TEXTS(in, slices, GR_SLICINGS_MAX, NULL, CHANGEABLE, NULL)                                 \
    /* Each silo's validation rows, loss and accuracy become known, under its pseudonym, and       \
     * after the last round its metrics. */                                                        \
    X##_YES_NO(in, per_silo, "false", CHANGEABLE)                                                  \
    /* The fewest validation rows of a silo for that, and the fewest rows of a slice. */           \
    X##_WHOLE(in, minimum_rows, "10", CHANGEABLE, 1, UINT32_MAX)                                   \
    X##_SECTION(in, bootstrap, gr_bootstrap_config, GR_BOOTSTRAP_KEYS)                             \
    /* Of the model that is kept: how its probabilities are calibrated, by validation rows. */     \
    X##_ONE_OF(in, recalibration, gr_recalibration_method, GR_RECALIBRATION_WORDS, "none",         \
               CHANGEABLE)                                                                         \
    /* Of the model that is kept, likewise. */                                                     \
    X##_SECTION(in, conformal, gr_conformal_config, GR_CONFORMAL_KEYS)
struct gr_evaluate_config {
    GR_EVALUATE_KEYS(GR_MEMBER, )
};

#define GR_STOP_METRIC_WORDS(WORD)                                                                 \
    WORD(GR_STOP_NONE, "none")                                                                     \
    WORD(GR_STOP_VALIDATION_LOSS, "validation_loss")                                               \
    WORD(GR_STOP_VALIDATION_ACCURACY, "validation_accuracy")
enum gr_stop_metric { GR_STOP_METRIC_WORDS(GR_VALUE) };

/* The model kept is that of the round in which the metric was best, and the run may end when it
 * gets no better. */
#define GR_STOP_KEYS(X, in)                                                                        \
    /* Looked at every evaluate.every rounds. */                                                   \
    X##_ONE_OF(in, metric, gr_stop_metric, GR_STOP_METRIC_WORDS, "none", DECIDES)                  \
    /* Rounds without a better value that end the run; 0: none do. */                              \
    X##_WHOLE(in, patience, "10", CHANGEABLE, 0, ROUNDS_MAX)                                       \
    /* A value is better by more than this. */                                                     \
    X##_REAL(in, minimum_delta, "0", DECIDES, 0, 1e6)
struct gr_stop_config {
    GR_STOP_KEYS(GR_MEMBER, )
};

/* ---- checkpoint, alerts, policy ------------------------------------------------------------- */

#define GR_CHECKPOINT_IO_WORDS(WORD)                                                               \
    WORD(GR_CHECKPOINT_AUTO, "auto")                                                               \
    WORD(GR_CHECKPOINT_INDEPENDENT, "independent")                                                 \
    WORD(GR_CHECKPOINT_COLLECTIVE, "collective")
enum gr_checkpoint_io_way { GR_CHECKPOINT_IO_WORDS(GR_VALUE) };

#define GR_CHECKPOINT_KEYS(X, in)                                                                  \
    /* Rounds between checkpoints, and after the last; 0: only the last. */                        \
    X##_WHOLE(in, every, "1", CHANGEABLE, 0, ROUNDS_MAX)                                           \
    /* So many of the newest stay. */                                                              \
    X##_WHOLE(in, keep, "2", CHANGEABLE, 1, ROUNDS_MAX)                                            \
    /* independent: each rank writes its slab by itself. collective: all write one file of MPI-IO, \
     * and a rank that is lost meanwhile ends the job, to be resumed. auto: independent; where the \
     * file system is a parallel one and losses are not handled, collective. */                    \
    X##_ONE_OF(in, io, gr_checkpoint_io_way, GR_CHECKPOINT_IO_WORDS, "auto", CHANGEABLE)           \
    /* Of collective: "key=value" each, for MPI-IO, such as striping_factor=8. */                  \
    X##_TEXTS(in, hints, 32, NULL, CHANGEABLE, NULL)
struct gr_checkpoint_config {
    GR_CHECKPOINT_KEYS(GR_MEMBER, )
};

/* A figure of a round, as in metrics.jsonl. */
#define GR_WATCHED_FIGURE_WORDS(WORD)                                                              \
    /* Silos in the sum by those selected. */                                                      \
    WORD(GR_WATCHED_PARTICIPATION, "participation")                                                \
    WORD(GR_WATCHED_TRAIN_LOSS, "train_loss")                                                      \
    WORD(GR_WATCHED_VALIDATION_LOSS, "validation_loss")                                            \
    WORD(GR_WATCHED_VALIDATION_ACCURACY, "validation_accuracy")                                    \
    WORD(GR_WATCHED_TEST_LOSS, "test_loss")                                                        \
    WORD(GR_WATCHED_TEST_ACCURACY, "test_accuracy")                                                \
    /* That of evaluate.metrics which `metric` names. */                                           \
    WORD(GR_WATCHED_METRIC, "metric")                                                              \
    /* With evaluate.per_silo. */                                                                  \
    WORD(GR_WATCHED_LOWEST_SILO_ACCURACY, "lowest_silo_accuracy")                                  \
    WORD(GR_WATCHED_UPDATE_NORM, "update_norm")                                                    \
    WORD(GR_WATCHED_ROUND_SECONDS, "round_seconds")                                                \
    WORD(GR_WATCHED_TRAIN_SECONDS, "train_seconds")                                                \
    WORD(GR_WATCHED_AGGREGATE_SECONDS, "aggregate_seconds")                                        \
    WORD(GR_WATCHED_EVALUATE_SECONDS, "evaluate_seconds")                                          \
    WORD(GR_WATCHED_BYTES_SENT, "bytes_sent")                                                      \
    WORD(GR_WATCHED_ROWS_PER_SECOND, "rows_per_second")                                            \
    /* The round by the last one that fits privacy.budget. */                                      \
    WORD(GR_WATCHED_BUDGET_SPENT, "budget_spent")
enum gr_watched_figure { GR_WATCHED_FIGURE_WORDS(GR_VALUE) };

#define GR_ALERT_WHEN_WORDS(WORD)                                                                  \
    WORD(GR_ALERT_ABOVE, "above")                                                                  \
    WORD(GR_ALERT_BELOW, "below")                                                                  \
    /* Than in the round before. */                                                                \
    WORD(GR_ALERT_RISES, "rises")                                                                  \
    WORD(GR_ALERT_FALLS, "falls")
enum gr_alert_when { GR_ALERT_WHEN_WORDS(GR_VALUE) };

#define GR_ALERT_RULE_KEYS(X, in)                                                                  \
    X##_ONE_OF(in, figure, gr_watched_figure, GR_WATCHED_FIGURE_WORDS, NULL, REQUIRED | CHANGEABLE)\
    X##_TEXT(in, metric, NULL, CHANGEABLE)                                                         \
    X##_ONE_OF(in, when, gr_alert_when, GR_ALERT_WHEN_WORDS, "above", CHANGEABLE)                  \
    /* rises, falls: by this share at least, over `rounds` rounds. */                              \
    X##_REAL(in, threshold, "0", CHANGEABLE, -DBL_MAX, DBL_MAX)                                    \
    /* The threshold is times the median of so many rounds before; 0: it is as it is. */           \
    X##_WHOLE(in, of_median, "0", CHANGEABLE, 0, 64)                                               \
    /* So many rounds running, for the alert and for its end. */                                   \
    X##_WHOLE(in, rounds, "1", CHANGEABLE, 1, ROUNDS_MAX)                                          \
    /* The alert is over once the figure is back by this share of the threshold. */                \
    X##_REAL(in, hysteresis, "0.1", CHANGEABLE, 0, 1)
struct gr_alert_rule_config {
    GR_ALERT_RULE_KEYS(GR_MEMBER, )
};

/* Warnings in events.jsonl and progress. */
#define GR_ALERTS_KEYS(X, in)                                                                      \
    /* Fewer than this share of the silos selected took part in `rounds` rounds running. */        \
    X##_REAL(in, participation, "0.5", CHANGEABLE, 0, 1)                                           \
    X##_WHOLE(in, rounds, "3", CHANGEABLE, 1, ROUNDS_MAX)                                          \
    /* The rules that `granary help monitoring` lists. */                                          \
    X##_YES_NO(in, usual, "true", CHANGEABLE)                                                      \
    X##_SECTIONS(in, rules, gr_alert_rule_config, GR_ALERT_RULE_KEYS, 64, CHANGEABLE)              \
    /* A program and its arguments, without a shell, with the event as JSON on its input. */       \
    X##_TEXTS(in, command, 32, NULL, CHANGEABLE, NULL)                                             \
    /* Then it is killed. */                                                                       \
    X##_REAL(in, command_s, "30", ABOVE | CHANGEABLE | SECONDS, 0, SECONDS_MAX)
struct gr_alerts_config {
    GR_ALERTS_KEYS(GR_MEMBER, )
};

/* What tells others of a run while it goes on. */
#define GR_OBSERVE_KEYS(X, in)                                                                     \
    /* A file *.prom in the folder of node_exporter's textfile collector; empty: none. */          \
    X##_TEXT(in, prometheus, NULL, CHANGEABLE)
struct gr_observe_config {
    GR_OBSERVE_KEYS(GR_MEMBER, )
};

/* The rules by which the door withholds. They hold where silos have tables of their own
 * (data.silo_tables, more than one): a table that is dealt to the silos is read by every process.
 */
#define GR_POLICY_KEYS(X, in)                                                                      \
    /* The fewest silos whose sum may be known; with secure.aggregation 3 at least. */             \
    X##_WHOLE(in, minimum_silos, "2", DECIDES, 1, SILOS_MAX)                                    \
    /* The least and greatest values of a column may be told, for preprocess.scale min_max         \
     * without a range in the schema. */                                                           \
    X##_YES_NO(in, extremes, "false", DECIDES)                                                  \
    /* Significant digits of losses and metrics of rows that silos hold out; 17: all. */           \
    X##_WHOLE(in, digits, "4", DECIDES, 1, 17)
struct gr_policy_config {
    GR_POLICY_KEYS(GR_MEMBER, )
};

/* What a gate is about; see `granary help gates`. */
#define GR_GATE_KIND_WORDS(WORD)                                                                   \
    /* A metric of evaluation.json. */                                                             \
    WORD(GR_GATE_SCORE, "score")                                                                   \
    /* The same less that of the model of another run. */                                          \
    WORD(GR_GATE_REGRESSION, "regression")                                                         \
    /* Of the silo in which it is worst. */                                                        \
    WORD(GR_GATE_WORST_SILO, "worst_silo")                                                         \
    /* The least share of the silos asked for that came to a round. */                             \
    WORD(GR_GATE_PARTICIPATION, "participation")                                                   \
    /* Of all runs over the same tables. */                                                        \
    WORD(GR_GATE_EPSILON, "epsilon")                                                               \
    /* A measure of fairness over a slicing. */                                                    \
    WORD(GR_GATE_FAIRNESS, "fairness")
enum gr_gate_kind { GR_GATE_KIND_WORDS(GR_VALUE) };

#define GR_GATE_REQUIRE_WORDS(WORD)                                                                \
    WORD(GR_GATE_AT_LEAST, "at_least")                                                             \
    WORD(GR_GATE_AT_MOST, "at_most")
enum gr_gate_require { GR_GATE_REQUIRE_WORDS(GR_VALUE) };

#define GR_GATE_JUDGE_WORDS(WORD)                                                                  \
    WORD(GR_GATE_VALUE, "value")                                                                   \
    WORD(GR_GATE_INTERVAL, "interval")
enum gr_gate_judge { GR_GATE_JUDGE_WORDS(GR_VALUE) };

/* What a model has to reach before it may go on, for `granary gate`; nothing of it changes a run. */
#define GR_GATE_KEYS(X, in)                                                                        \
    X##_ONE_OF(in, kind, gr_gate_kind, GR_GATE_KIND_WORDS, NULL, REQUIRED | CHANGEABLE)            \
    /* Of score, regression and worst_silo: its name in evaluation.json; of fairness a measure,    \
     * as demographic_parity_difference or equalized_odds_ratio. */                                \
    X##_TEXT(in, metric, NULL, CHANGEABLE)                                                         \
    X##_ONE_OF(in, require, gr_gate_require, GR_GATE_REQUIRE_WORDS, "at_least", CHANGEABLE)        \
    X##_REAL(in, limit, NULL, REQUIRED | CHANGEABLE, -1e300, 1e300)                                \
    /* Of regression: the run directory of the other model. */                                     \
    X##_TEXT(in, run, NULL, CHANGEABLE)                                                            \
    /* Of fairness: the slicing, as in evaluate.slices; and whether its interval counts. */        \
    X##_TEXT(in, slicing, NULL, CHANGEABLE)                                                        \
    X##_ONE_OF(in, judge, gr_gate_judge, GR_GATE_JUDGE_WORDS, "value", CHANGEABLE)
struct gr_gate_config {
    GR_GATE_KEYS(GR_MEMBER, )
};

/* What people say of the model, for model-card.md; nothing of it changes a run. */
#define GR_CARD_KEYS(X, in)                                                                        \
    /* The model's name; empty: run.name. */                                                       \
    X##_TEXT(in, title, NULL, CHANGEABLE)                                                          \
    /* As Hugging Face writes it, such as apache-2.0 or other. */                                  \
    X##_TEXT(in, license, NULL, CHANGEABLE)                                                        \
    /* Who to ask. */                                                                              \
    X##_TEXT(in, contact, NULL, CHANGEABLE)                                                        \
    X##_TEXT(in, intended_use, NULL, CHANGEABLE)                                                   \
    /* Where it is not to be used, and what it is not known to do. */                              \
    X##_TEXT(in, limits, NULL, CHANGEABLE)                                                         \
    /* Of the federation: which institutions, which rows, of when; never of one silo alone. */     \
    X##_TEXT(in, data, NULL, CHANGEABLE)                                                           \
    /* By whom, when, of what: a line each. */                                                     \
    X##_TEXTS(in, approvals, 64, NULL, CHANGEABLE, NULL)                                           \
    X##_TEXTS(in, tags, 32, NULL, CHANGEABLE, NULL)
struct gr_card_config {
    GR_CARD_KEYS(GR_MEMBER, )
};

/* ---- faults --------------------------------------------------------------------------------- */

/* A fault to be injected, and the point of a round at which it strikes. */
#define GR_FAULT_KIND_WORDS(WORD)                                                                  \
    /* SIGKILL to the rank that hosts the silo. */                                                 \
    WORD(GR_FAULT_KILL, "kill")                                                                    \
    /* SIGSTOP; continued after `seconds`, 0: never. */                                            \
    WORD(GR_FAULT_STOP, "stop")                                                                    \
    /* The rank does nothing for `seconds`. */                                                     \
    WORD(GR_FAULT_DELAY, "delay")                                                                  \
    /* The same, while it gives signs of life as a rank at work does. */                           \
    WORD(GR_FAULT_SLOW, "slow")                                                                    \
    /* The silo's update holds a NaN; point train only. */                                         \
    WORD(GR_FAULT_NAN, "nan")                                                                      \
    /* The silo's update is 1e38 everywhere; point train only. */                                  \
    WORD(GR_FAULT_EXPLODE, "explode")                                                              \
    /* A byte of the newest checkpoint is flipped; point checkpoint only. */                       \
    WORD(GR_FAULT_CORRUPT, "corrupt")
enum gr_fault_kind { GR_FAULT_KIND_WORDS(GR_VALUE) };

#define GR_FAULT_POINT_WORDS(WORD)                                                                 \
    /* Before the silo trains. */                                                                  \
    WORD(GR_POINT_TRAIN, "train")                                                                  \
    /* Trained, before it reports. */                                                              \
    WORD(GR_POINT_READY, "ready")                                                                  \
    /* The roster is closed, before the sum. */                                                    \
    WORD(GR_POINT_AGGREGATE, "aggregate")                                                          \
    /* The sum is there, undecoded, before it is agreed on. */                                     \
    WORD(GR_POINT_SEAL, "seal")                                                                    \
    /* The sum is agreed on, before its masks are taken off, if it has any. */                     \
    WORD(GR_POINT_UNMASK, "unmask")                                                                \
    /* Some of its masks are off, those of a first segment or, by a rank alone, of the riders. */  \
    WORD(GR_POINT_UNMASKING, "unmasking")                                                          \
    /* Before it is decoded and the step taken. */                                                 \
    WORD(GR_POINT_COMMIT, "commit")                                                                \
    /* After the step. */                                                                          \
    WORD(GR_POINT_EVALUATE, "evaluate")                                                            \
    /* Scores are added up, before losses are. */                                                  \
    WORD(GR_POINT_LOSSES, "losses")                                                                \
    /* The sums of the evaluation are there, before they are agreed on. */                         \
    WORD(GR_POINT_SCORE, "score")                                                                  \
    /* Of the last round: what is made of outputs is fitted, before it is told. */                 \
    WORD(GR_POINT_POSTPROCESS, "postprocess")                                                      \
    /* Before the round's line is written. */                                                      \
    WORD(GR_POINT_RECORD, "record")                                                                \
    /* Before a checkpoint is written; corrupt: after it. */                                       \
    WORD(GR_POINT_CHECKPOINT, "checkpoint")                                                        \
    /* In the midst of a checkpoint's bytes. */                                                    \
    WORD(GR_POINT_WRITE, "write")                                                                  \
    /* The first time that a loss is recovered from in that round. */                              \
    WORD(GR_POINT_RECOVER, "recover")                                                              \
    /* Round 0, before the first round: before the silos' tables are read. */                      \
    WORD(GR_POINT_LOAD, "load")                                                                    \
    /* Read, before their columns are compared. */                                                 \
    WORD(GR_POINT_COMPARE, "compare")                                                              \
    /* Before preprocessing is fitted. */                                                          \
    WORD(GR_POINT_FIT, "fit")                                                                      \
    /* Numbers are fitted, before the categories of open columns are found. */                     \
    WORD(GR_POINT_DICTIONARY, "dictionary")                                                        \
    /* Noised statistics are charged, before they leave. */                                        \
    WORD(GR_POINT_STATISTICS, "statistics")                                                        \
    /* Before the rows of classes are counted. */                                                  \
    WORD(GR_POINT_COUNT, "count")                                                                  \
    /* Before the run directory is opened. */                                                      \
    WORD(GR_POINT_OPEN, "open")                                                                    \
    /* Before the data's fingerprints are compared. */                                             \
    WORD(GR_POINT_FINGERPRINT, "fingerprint")                                                      \
    /* Before the records begin. */                                                                \
    WORD(GR_POINT_START, "start")
enum gr_fault_point { GR_FAULT_POINT_WORDS(GR_VALUE) };

/* Only with run.rehearsal. */
#define GR_FAULT_KEYS(X, in)                                                                       \
    X##_ONE_OF(in, kind, gr_fault_kind, GR_FAULT_KIND_WORDS, NULL, REQUIRED | CHANGEABLE)          \
    X##_WHOLE(in, silo, NULL, REQUIRED | CHANGEABLE, 0, SILOS_MAX - 1)                             \
    X##_WHOLE(in, round, NULL, REQUIRED | CHANGEABLE, 0, ROUNDS_MAX)                               \
    X##_ONE_OF(in, point, gr_fault_point, GR_FAULT_POINT_WORDS, "train", CHANGEABLE)               \
    /* kill and stop: strikes so long after the point. */                                          \
    X##_REAL(in, after_s, "0", CHANGEABLE | SECONDS, 0, SECONDS_MAX)                               \
    /* Of stop, delay and slow. */                                                                 \
    X##_REAL(in, seconds, "0", CHANGEABLE | SECONDS, 0, SECONDS_MAX)
struct gr_fault_config {
    GR_FAULT_KEYS(GR_MEMBER, )
};

/* ---- silos ---------------------------------------------------------------------------------- */

/* A silo's name, and the places of its own, beside its table. */
#define GR_SILO_KEYS(X, in)                                                                        \
    /* Of tables of silos' own, all or none: random numbers go by it (gr_silo_stream), and not by  \
     * the silo's place in the list. */                                                            \
    X##_TEXT(in, name, NULL, DECIDES)                                                              \
    /* A folder of the silo's own. Its rank writes there in full, into silo-003.log, all that is   \
     * told of the silo to others by a reason out of a fixed list; "": nothing is written. */           \
    X##_TEXT(in, directory, NULL, CHANGEABLE)                                                      \
    /* Of a study: the number of the site whose job hosts it, from 1; 0: run.placement says which  \
     * rank does. */                                                                               \
    X##_WHOLE(in, site, "0", CHANGEABLE, 0, 65535)
struct gr_silo_config {
    GR_SILO_KEYS(GR_MEMBER, )
};

/* ---- all ------------------------------------------------------------------------------------ */

/* PART, PARTS: as SECTION and SECTIONS; a macro is not expanded within itself. */
#define GR_MEMBER_PART(in, name, type, ...) struct type name;
#define GR_MEMBER_PARTS(in, name, type, ...) struct type *name; unsigned name##_count;
#define GR_CONFIG_KEYS(X, in)                                                                      \
    X##_PART(in, run, gr_run_config, GR_RUN_KEYS)                                                  \
    X##_PART(in, data, gr_data_config, GR_DATA_KEYS)                                               \
    /* One for each silo, in the order of the silos, or none. */                                   \
    X##_PARTS(in, silos, gr_silo_config, GR_SILO_KEYS, 10000, CHANGEABLE)                          \
    X##_PART(in, preprocess, gr_preprocess_config, GR_PREPROCESS_KEYS)                             \
    X##_PART(in, model, gr_model_config, GR_MODEL_KEYS)                                            \
    X##_PART(in, train, gr_train_config, GR_TRAIN_KEYS)                                            \
    X##_PART(in, round, gr_round_config, GR_ROUND_KEYS)                                            \
    /* Its name, and the settings that strategies bring: strategy.h. */                            \
    X##_STRATEGY(in, strategy, gr_strategy_config)                                                 \
    X##_PART(in, aggregation, gr_aggregation_config, GR_AGGREGATION_KEYS)                          \
    X##_PART(in, secure, gr_secure_config, GR_SECURE_KEYS)                                         \
    X##_PART(in, privacy, gr_privacy_config, GR_PRIVACY_KEYS)                                      \
    X##_PART(in, evaluate, gr_evaluate_config, GR_EVALUATE_KEYS)                                   \
    X##_PART(in, stop, gr_stop_config, GR_STOP_KEYS)                                               \
    X##_PART(in, checkpoint, gr_checkpoint_config, GR_CHECKPOINT_KEYS)                             \
    X##_PART(in, alerts, gr_alerts_config, GR_ALERTS_KEYS)                                         \
    X##_PART(in, observe, gr_observe_config, GR_OBSERVE_KEYS)                                      \
    X##_PART(in, policy, gr_policy_config, GR_POLICY_KEYS)                                         \
    X##_PARTS(in, gates, gr_gate_config, GR_GATE_KEYS, 64, CHANGEABLE)                             \
    X##_PART(in, card, gr_card_config, GR_CARD_KEYS)                                               \
    X##_PARTS(in, faults, gr_fault_config, GR_FAULT_KEYS, 64, CHANGEABLE)
struct gr_config {
    GR_CONFIG_KEYS(GR_MEMBER, )
};

/* Every list of keys with its struct; a list follows the lists that it names. */
#define GR_SECTION_LISTS(LIST)                                                                     \
    LIST(gr_run_config, GR_RUN_KEYS)                                                               \
    LIST(gr_table_config, GR_TABLE_KEYS)                                                           \
    LIST(gr_partition_config, GR_PARTITION_KEYS)                                                   \
    LIST(gr_synthetic_config, GR_SYNTHETIC_KEYS)                                                   \
    LIST(gr_csv_config, GR_CSV_KEYS)                                                               \
    LIST(gr_data_config, GR_DATA_KEYS)                                                             \
    LIST(gr_preprocess_config, GR_PREPROCESS_KEYS)                                                 \
    LIST(gr_layer_config, GR_LAYER_KEYS)                                                           \
    LIST(gr_model_config, GR_MODEL_KEYS)                                                           \
    LIST(gr_schedule_config, GR_SCHEDULE_KEYS)                                                     \
    LIST(gr_train_config, GR_TRAIN_KEYS)                                                           \
    LIST(gr_availability_config, GR_AVAILABILITY_KEYS)                                             \
    LIST(gr_round_config, GR_ROUND_KEYS)                                                           \
    LIST(gr_aggregation_config, GR_AGGREGATION_KEYS)                                               \
    LIST(gr_secure_config, GR_SECURE_KEYS)                                                         \
    LIST(gr_adaptive_clipping_config, GR_ADAPTIVE_CLIPPING_KEYS)                                   \
    LIST(gr_noised_evaluation_config, GR_NOISED_EVALUATION_KEYS)                                   \
    LIST(gr_noised_statistics_config, GR_NOISED_STATISTICS_KEYS)                                   \
    LIST(gr_budget_config, GR_BUDGET_KEYS)                                                         \
    LIST(gr_correlation_config, GR_CORRELATION_KEYS)                                               \
    LIST(gr_privacy_config, GR_PRIVACY_KEYS)                                                       \
    LIST(gr_bootstrap_config, GR_BOOTSTRAP_KEYS)                                                   \
    LIST(gr_conformal_config, GR_CONFORMAL_KEYS)                                                   \
    LIST(gr_evaluate_config, GR_EVALUATE_KEYS)                                                     \
    LIST(gr_stop_config, GR_STOP_KEYS)                                                             \
    LIST(gr_checkpoint_config, GR_CHECKPOINT_KEYS)                                                 \
    LIST(gr_alert_rule_config, GR_ALERT_RULE_KEYS)                                                 \
    LIST(gr_alerts_config, GR_ALERTS_KEYS)                                                         \
    LIST(gr_observe_config, GR_OBSERVE_KEYS)                                                       \
    LIST(gr_policy_config, GR_POLICY_KEYS)                                                         \
    LIST(gr_gate_config, GR_GATE_KEYS)                                                             \
    LIST(gr_card_config, GR_CARD_KEYS)                                                             \
    LIST(gr_fault_config, GR_FAULT_KEYS)                                                           \
    LIST(gr_silo_config, GR_SILO_KEYS)                                                             \
    LIST(gr_config, GR_CONFIG_KEYS)

/* clang-format on */

#ifdef __cplusplus
}
#endif
#endif
