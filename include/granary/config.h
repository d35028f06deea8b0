/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: a YAML file and overrides become typed settings; every rule is checked before any work.
 *
 * Lifetime: gr_config_load creates, the caller owns and releases with gr_config_free. All text in
 * the struct belongs to it. Text settings are never NULL: absent is "". Not collective: rank 0
 * loads, the caller broadcasts gr_config_to_yaml's text, and the others parse that.
 *
 * Paths are taken relative to the working directory, like every other command's arguments.
 *
 * Interface: stable.
 */
#ifndef GRANARY_CONFIG_H
#define GRANARY_CONFIG_H

#include <granary/base.h>
#include <granary/metric.h>
#include <granary/strategy.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a config file, and of any config's text: a resolved one is longer than what it is from.
 */
enum { GR_CONFIG_FILE_MAX = 1 << 20, GR_CONFIG_TEXT_MAX = 8 << 20 };

enum gr_data_source { GR_SOURCE_IDX, GR_SOURCE_HDF5, GR_SOURCE_CSV, GR_SOURCE_SYNTHETIC };
enum gr_partition_method {
    GR_PARTITION_IID,
    GR_PARTITION_DIRICHLET,
    GR_PARTITION_SHARDS,
    GR_PARTITION_COLUMN
};
enum gr_separator {
    GR_SEPARATOR_COMMA,
    GR_SEPARATOR_SEMICOLON,
    GR_SEPARATOR_TAB,
    GR_SEPARATOR_PIPE,
    GR_SEPARATOR_SPACE,
    GR_SEPARATOR_BLANKS, /* any number of spaces and tabs, also in front of the first field */
    GR_SEPARATOR_AUTO    /* found in each file by itself, from its ending and first lines */
};
/* How text is encoded in a CSV file. */
enum gr_encoding_of_text { GR_TEXT_UTF8, GR_TEXT_LATIN1 };
/* How numbers are written in the cells of a column. */
enum gr_decimal { GR_DECIMAL_POINT, GR_DECIMAL_COMMA };
enum gr_thousands {
    GR_THOUSANDS_NONE,
    GR_THOUSANDS_COMMA,
    GR_THOUSANDS_POINT,
    GR_THOUSANDS_SPACE, /* also the no-break spaces U+00A0 and U+202F */
    GR_THOUSANDS_APOSTROPHE
};
/* The order of day, month and year in a date's cell. */
enum gr_date_format { GR_DATE_ISO, GR_DATE_DAY_FIRST, GR_DATE_MONTH_FIRST };
/* The unit in which a date's distance from its origin is counted. */
enum gr_date_unit { GR_DATE_DAYS, GR_DATE_YEARS, GR_DATE_HOURS, GR_DATE_SECONDS };
/* The fate of a row without a label or target. */
enum gr_unlabelled { GR_UNLABELLED_REFUSE, GR_UNLABELLED_DROP };
/* What a column of a table is. */
enum gr_column_type {
    GR_COLUMN_NUMBER,
    GR_COLUMN_INTEGER,  /* whole, at most 2^24 in size, which float32 holds exactly */
    GR_COLUMN_CATEGORY, /* one of `categories` */
    GR_COLUMN_TEXT,     /* names and remarks: never read into the features */
    GR_COLUMN_LABEL,    /* a class: one of `categories`, or where there are none 0, 1, 2... */
    GR_COLUMN_TARGET,   /* a number to be predicted */
    GR_COLUMN_GROUP,    /* a centre, by which rows can be partitioned */
    GR_COLUMN_DATE,     /* a day: as a number of days or years since another */
    GR_COLUMN_DATETIME, /* a day and a time */
    GR_COLUMN_WEIGHT,   /* a row's weight in the loss and in metrics, >= 0 */
    GR_COLUMN_OFFSET    /* added to the model's output before the loss, with coefficient 1 */
};
/* What becomes of a value that is not there; mean and mode are of all silos' training rows. */
enum gr_missing {
    GR_MISSING_REFUSE,
    GR_MISSING_MEAN,      /* number, integer: the mean of the others */
    GR_MISSING_MODE,      /* category: the most frequent, the first of several */
    GR_MISSING_INDICATOR, /* zero, and 1 in a further feature NAME_missing */
    GR_MISSING_ZERO       /* the feature is 0, also of a scaled column; categories: with one_hot
                             only */
};
/* How numbers are scaled, by what all silos' training rows have. */
enum gr_scale {
    GR_SCALE_NONE,
    GR_SCALE_STANDARDISE, /* less the mean, by the standard deviation (of the population) */
    GR_SCALE_MIN_MAX,     /* the column's range to 0..1; without one, from the least to the greatest
                             value, which the model then tells */
    GR_SCALE_DEFAULT      /* of a column only: preprocess.scale */
};
/* How a category becomes features. */
enum gr_encode {
    GR_ENCODE_CODE,   /* one: its place in `categories`; their number for one that is not there */
    GR_ENCODE_ONE_HOT /* one for each, NAME=CATEGORY: 1 or 0; all 0 for one that is not there */
};
enum gr_model_type {
    GR_MODEL_SOFTMAX,
    GR_MODEL_MLP,
    GR_MODEL_LINEAR,   /* linear regression: one output */
    GR_MODEL_LOGISTIC, /* binary logistic regression: one output, the log odds of label 1 */
    GR_MODEL_POISSON,  /* Poisson regression: one output, the logarithm of the expected count */
    GR_MODEL_CNN,      /* `layers`, and a dense layer of the outputs behind them */
    GR_MODEL_BAG       /* rows of ids: the mean of their vectors, `hidden` and the outputs */
};
enum gr_activation {
    GR_ACTIVATION_RELU,
    GR_ACTIVATION_GELU,
    GR_ACTIVATION_TANH,
    GR_ACTIVATION_NONE,   /* of a layer only */
    GR_ACTIVATION_DEFAULT /* of a layer only: the model's for conv and dense, none for others */
};
enum gr_layer_type {
    GR_LAYER_CONV,
    GR_LAYER_MAX_POOL,
    GR_LAYER_AVERAGE_POOL,
    GR_LAYER_GROUP_NORM,
    GR_LAYER_DROPOUT,
    GR_LAYER_DENSE,
    GR_LAYER_EMBEDDING, /* from here on: of models that ask for them, never of `layers` */
    GR_LAYER_BAG
};
enum gr_padding { GR_PADDING_VALID, GR_PADDING_SAME };
enum gr_loss_type {
    GR_LOSS_DEFAULT, /* the model's: cross_entropy, squared, binary_cross_entropy or poisson */
    GR_LOSS_CROSS_ENTROPY,
    GR_LOSS_BINARY_CROSS_ENTROPY,
    GR_LOSS_SQUARED,
    GR_LOSS_HUBER,
    GR_LOSS_POISSON
};
enum gr_initialisation { GR_INITIALISE_HE, GR_INITIALISE_GLOROT };
enum gr_compute { GR_COMPUTE_FLOAT32, GR_COMPUTE_BFLOAT16 };
enum gr_optimizer {
    GR_OPTIMIZER_SGD,
    GR_OPTIMIZER_NESTEROV,
    GR_OPTIMIZER_ADAM,
    GR_OPTIMIZER_ADAMW
};
enum gr_solver_state { GR_SOLVER_RESET, GR_SOLVER_KEEP };
enum gr_class_weights { GR_CLASS_WEIGHTS_NONE, GR_CLASS_WEIGHTS_BALANCED };
enum gr_schedule_type { GR_SCHEDULE_CONSTANT, GR_SCHEDULE_STEP, GR_SCHEDULE_COSINE };
enum gr_sampling { GR_SAMPLING_UNIFORM, GR_SAMPLING_SIZE, GR_SAMPLING_CYCLIC, GR_SAMPLING_LIST };
enum gr_stop_metric { GR_STOP_NONE, GR_STOP_VALIDATION_LOSS, GR_STOP_VALIDATION_ACCURACY };
enum gr_encoding {
    GR_ENCODING_RING32,
    GR_ENCODING_RING64,
    GR_ENCODING_RING16,
    GR_ENCODING_FLOAT32
};
/* Silos in a round whose updates in ring16 keep 3 bits and a sign. */
enum { GR_RING16_SILOS_MAX = 4095 };
enum gr_placement { GR_PLACEMENT_BLOCK, GR_PLACEMENT_CYCLIC };
/* A fault to be rehearsed, and where in a round it strikes. */
enum gr_fault_kind {
    GR_FAULT_KILL,  /* SIGKILL to the rank that hosts the silo */
    GR_FAULT_STOP,  /* SIGSTOP; continued after `seconds`, 0: never */
    GR_FAULT_DELAY, /* the rank does nothing for `seconds` */
    GR_FAULT_SLOW,  /* the same, giving signs of life as one at work does */
    GR_FAULT_NAN,   /* the silo's update holds a NaN; point train only */
    GR_FAULT_EXPLODE /* the silo's update is 1e38 everywhere; point train only */,
    GR_FAULT_CORRUPT /* a byte of the newest checkpoint is flipped; point checkpoint only */
};
enum gr_fault_point {
    GR_POINT_TRAIN,      /* before the silo trains */
    GR_POINT_READY,      /* trained, before it reports */
    GR_POINT_AGGREGATE,  /* the roster is closed, before the sum */
    GR_POINT_SEAL,       /* the sum is there, undecoded, before it is agreed on */
    GR_POINT_COMMIT,     /* the sum is agreed on, before it is decoded and the step taken */
    GR_POINT_EVALUATE,   /* after the step */
    GR_POINT_SCORE,      /* the sums of the evaluation are there, before they are agreed on */
    GR_POINT_RECORD,     /* before the round's line is written */
    GR_POINT_CHECKPOINT, /* before a checkpoint is written; corrupt: after it */
    GR_POINT_RECOVER,    /* the first time that a loss is recovered from in that round */
    /* Round 0, before the first round: */
    GR_POINT_LOAD,        /* before the silos' tables are read */
    GR_POINT_COMPARE,     /* read, before their columns are compared */
    GR_POINT_FIT,         /* before preprocessing is fitted */
    GR_POINT_DICTIONARY,  /* numbers are fitted, before the categories of open columns are found */
    GR_POINT_COUNT,       /* before the rows of classes are counted */
    GR_POINT_OPEN,        /* before the run directory is opened */
    GR_POINT_FINGERPRINT, /* before the data's fingerprints are compared */
    GR_POINT_START        /* before the records begin */
};

/* run: */
struct gr_run_config {
    char *name;      /* names the run directory; letters, digits, '-', '_', '.'; default "run" */
    uint64_t seed;   /* default 1 */
    uint32_t rounds; /* >= 1 */
    char *directory; /* parent of run directories; default "runs" */
    enum gr_placement placement; /* silos to ranks; default block */
    bool rehearsal;              /* faults are allowed; default false */
};

/* One table of rows on disk. idx: features and labels; hdf5 and csv: file. */
struct gr_table_config {
    char *features; /* IDX file, plain or .gz, at least two dimensions, unsigned byte */
    char *labels;   /* IDX file, one dimension */
    char *file;     /* HDF5 file made by `granary import` or to its form; CSV file */
};

struct gr_partition_config {
    enum gr_partition_method method; /* default iid */
    double alpha;                    /* dirichlet: concentration, > 0; default 0.3 */
    uint32_t shards_per_silo;        /* shards: default 2 */
    uint32_t minimum_rows;           /* every silo gets at least this many; default 1 */
    char *column; /* column: a silo for each value of it, in byte order; csv, and hdf5 imported
                     from it; default "" */
};

/* How CSV files are written. */
struct gr_csv_config {
    enum gr_separator separator;       /* default auto */
    bool header;                       /* the first row names the columns; default true */
    enum gr_encoding_of_text encoding; /* default utf8 */
    char *label; /* without data.schema: the column of labels; default "label" */
};

/* FedProx's synthetic(alpha, beta) (Li et al. 2020, section 5.1). */
struct gr_synthetic_config {
    double alpha;          /* variance of the silos' models around their means; >= 0; default 1 */
    double beta;           /* variance of the silos' features' means; >= 0; default 1 */
    uint32_t n_features;   /* default 60 */
    uint32_t n_classes;    /* default 10 */
    uint32_t minimum_rows; /* default 50, as in the paper's code: 50 + lognormal(4, 2) */
    uint32_t maximum_rows; /* default 2000: the lognormal is cut here */
    uint32_t test_rows;    /* rows per silo that go to the global test set; default 20 */
};

struct gr_data_config {
    enum gr_data_source source;
    uint32_t silos;                      /* number of silos; with silo_tables, their number */
    struct gr_table_config train;        /* one table to be partitioned; unused with silo_tables */
    struct gr_table_config *silo_tables; /* one table per silo, in silo order */
    unsigned silo_tables_count;
    struct gr_table_config test; /* global test table; may be absent: no test metrics */
    struct gr_partition_config partition;
    struct gr_synthetic_config synthetic;
    uint64_t split_seed; /* decides which rows silos hold out, how one table is dealt to silos, and
                            synthetic rows; apart from run.seed, so that a sweep over run.seed is
                            scored on one test set; default 1 */
    double validation_fraction; /* of each silo's rows; [0, 0.9]; default 0 */
    double test_fraction; /* of each silo's rows, for the test metrics where there is no test table;
                             [0, 0.9], and the two at most 0.9; default 0 */
    bool stratify; /* both are drawn class by class, unless the model predicts numbers; default true
                    */
    uint32_t limit; /* first rows of `train` taken; 0: all */
    struct gr_csv_config csv;
    char *schema; /* file that says what columns tables have, see gr_schema; default "": none */
    uint32_t disclosure_threshold; /* smaller counts of what was found in the data are told as
                                      "fewer than" it, and categories of open columns that no silo
                                      has so often are unknown; >= 1; default 10 */
};

/*
 * preprocess: what becomes of values between table and model. Fitted before the first round, over
 * the training rows of all silos, and kept with the model.
 */
struct gr_preprocess_config {
    enum gr_scale scale; /* of features that are numbers; default none */
    bool clip;           /* numbers beyond their column's range are set to its end; default false */
};

/* One of model.layers. What a type has no use for stays at its default. */
struct gr_layer_config {
    enum gr_layer_type type;
    uint32_t filters;              /* conv: output channels; 1 to 65536 */
    uint32_t width;                /* dense: outputs; 1 to 65536 */
    uint32_t kernel;               /* conv, pools: height and width of the window; 1 to 1024 */
    uint32_t stride;               /* conv, pools; default 0: 1 for conv, `kernel` for pools */
    enum gr_padding padding;       /* conv; default valid */
    enum gr_activation activation; /* conv, dense, group_norm; default `default` */
    uint32_t groups;               /* group_norm: divides the channels; 1 to 65536 */
    double rate;                   /* dropout: share that is set to zero; 0 < rate < 1 */
};

struct gr_model_config {
    enum gr_model_type type;
    uint32_t *hidden; /* mlp, bag: widths of the hidden layers; of an mlp at least one */
    unsigned hidden_count;
    struct gr_layer_config *layers; /* cnn: at least one; images' layers first, then dense ones */
    unsigned layers_count;
    uint32_t embedding;  /* mlp: a category's code becomes a vector of so many numbers; 0, the
                            default: it stays a number. bag: what an id becomes, at least 1 */
    uint32_t vocabulary; /* bag: ids are 1 to this, at most 2^24; 0 is none */
    uint32_t classes;    /* of the label; a label beyond is refused; 0, the default: as many as the
                            schema lists or the silos' labels show */
    enum gr_activation activation;         /* default relu */
    enum gr_initialisation initialisation; /* default he */
    enum gr_compute compute;               /* default float32 */
    enum gr_loss_type loss;                /* default `default` */
    double label_smoothing;                /* cross_entropy, in training: [0, 1); default 0 */
    double huber_delta;                    /* huber: > 0; default 1 */
};

/* train.schedule: the learning rate of a round; see gr_learning_rate (train.h). */
struct gr_schedule_config {
    enum gr_schedule_type type; /* default constant */
    uint32_t warmup_rounds;     /* the rate rises over so many first rounds; default 0 */
    uint32_t every;             /* step: rounds between falls; >= 1; default 10 */
    double factor;              /* step: of each fall; (0, 1]; default 0.5 */
    double minimum;             /* step, cosine: the rate never falls below; default 0 */
    uint32_t rounds;            /* cosine: the round of the minimum; default run.rounds */
};

struct gr_train_config {
    enum gr_optimizer optimizer; /* default sgd */
    double learning_rate;        /* > 0 */
    struct gr_schedule_config schedule;
    double momentum;     /* sgd, nesterov: [0, 1); default 0 */
    double beta1, beta2; /* adam, adamw: [0, 1); default 0.9, 0.999 */
    double epsilon;      /* adam, adamw: >= FLT_MIN; default 1e-8 */
    double weight_decay; /* >= 0; default 0; added to the gradient as weight_decay * parameter;
                            adamw: taken off the parameter by itself */
    bool decay_biases;   /* biases decay like weights; false: they do not, as in ridge regression;
                            default true */
    enum gr_solver_state state; /* momentum, Adam's moments and steps between a silo's rounds;
                                   default reset */
    double clip_norm;           /* largest L2 norm of a batch's gradient; 0: any; default 0 */
    double proximal_mu; /* FedProx: pull towards the round's global model; >= 0; default 0 */
    enum gr_class_weights class_weights; /* balanced: by the rows of all silos, see
                                            gr_model_balance_classes; default none */
    uint32_t batch_size;                 /* 1 to 65536 */
    uint32_t epochs; /* local epochs a round; default 1; exactly one of epochs, steps is > 0 */
    uint32_t steps;  /* local steps a round; default 0 */
    double seconds;  /* a silo's training ends after the batch in which so much time has passed;
                        0: no limit; default 0. Bits then depend on the machine. */
};

/* round.availability: silos that can take part in rounds `from` to `to` only. */
struct gr_availability_config {
    uint32_t *silos;
    unsigned silos_count;
    uint32_t from; /* default 1 */
    uint32_t to;   /* 0, the default: to the end */
};

struct gr_round_config {
    uint32_t participants;     /* silos sampled per round; 0: all */
    enum gr_sampling sampling; /* how; default uniform; see gr_sample_silos (federation.h) */
    bool share_sizes; /* every rank may learn how many rows each silo trains on, which sampling by
                         size needs; default false */
    struct gr_availability_config *availability; /* sampling list: silos in none are always there */
    unsigned availability_count;
    uint32_t quorum;   /* fewest silos in a round's sum, or the run stops; default 1 */
    double deadline_s; /* for all silos to have trained; those that have not are late; default
                          3600, > 0 */
    double
        collective_deadline_s; /* for a rank to do its part in a sum or record; default 60, > 0 */
    double heartbeat_s; /* a rank that trains and gives no sign for so long is given up until it
                           does; 0: only at deadline_s; default 30 */
    double start_deadline_s; /* before round 1: how long a rank may give no sign before the start is
                                given up; default 600, > 0 */
    bool respawn;            /* lost ranks are replaced by MPI_Comm_spawn; default false */
    char *replay;            /* events.jsonl whose silos, round by round, take part; default "" */
};

/* Warnings in events.jsonl and progress: fewer than `participation` of the silos selected took part
 * in `rounds` rounds running. */
struct gr_alerts_config {
    double participation; /* [0, 1]; default 0.5 */
    uint32_t rounds;      /* >= 1; default 3 */
};

/* faults: a list; only with run.rehearsal. */
struct gr_fault_config {
    enum gr_fault_kind kind;
    uint32_t silo, round;
    enum gr_fault_point point; /* default train */
    double after_s;            /* kill and stop: strikes so long after the point; default 0 */
    double seconds;            /* of stop and delay; default 0 */
};

struct gr_aggregation_config {
    enum gr_encoding encoding; /* default ring32; ring16: at most GR_RING16_SILOS_MAX in a round */
    uint32_t ranks_per_node;   /* ranks that share a memory window; 0: as found; 1: never */
};

struct gr_evaluate_config {
    uint32_t
        every; /* test evaluation each this many rounds, and after the last; 0: never; default 1 */
    /*
     * Beside loss and accuracy, in metrics.jsonl: of the test rows, or where there is no test table
     * of all validation rows. auc costs up to 256 KiB for each rank to send; after the last round
     * all of them are found, for evaluation.json. Those that do not fit the model are passed over.
     * Default balanced_accuracy, macro_f1, calibration_error, mae, r2.
     */
    char **metrics;
    unsigned metrics_count;
    bool per_silo;         /* each silo's validation rows, loss and accuracy become known, under its
                              pseudonym, and after the last round its metrics; default false */
    uint32_t minimum_rows; /* of a silo's validation for that; >= 1; default 10 */
};

/* stop: the model kept is that of the round in which the metric was best, and the run may end when
 * it gets no better. */
struct gr_stop_config {
    enum gr_stop_metric metric; /* looked at every evaluate.every rounds; default none */
    uint32_t patience;          /* rounds without a better value that end the run; 0: none do;
                                   default 10 */
    double minimum_delta;       /* better is by more than this; >= 0; default 0 */
};

struct gr_checkpoint_config {
    uint32_t
        every;     /* rounds between checkpoints, and after the last; 0: only the last; default 1 */
    uint32_t keep; /* newest that stay; >= 1; default 2 */
};

/*
 * policy: the rules by which the door withholds. They hold where silos have tables of their own
 * (data.silo_tables, more than one): a table that is dealt to the silos is read by every process.
 */
struct gr_policy_config {
    uint32_t minimum_silos; /* that a sum of theirs must have; >= 1; default 2 */
    bool extremes;   /* the least and greatest values of a column may be told, for preprocess.scale
                        min_max without a range in the schema; default false */
    uint32_t digits; /* significant ones of losses and metrics of rows that silos hold out; 1 to 17,
                        which are all; default 4 */
};

struct gr_config {
    struct gr_run_config run;
    struct gr_data_config data;
    struct gr_preprocess_config preprocess;
    struct gr_model_config model;
    struct gr_train_config train;
    struct gr_round_config round;
    struct gr_strategy_config strategy;
    struct gr_aggregation_config aggregation;
    struct gr_evaluate_config evaluate;
    struct gr_stop_config stop;
    struct gr_checkpoint_config checkpoint;
    struct gr_alerts_config alerts;
    struct gr_policy_config policy;
    struct gr_fault_config *faults;
    unsigned faults_count;
};

/*
 * Reads `path` (at most 1 MiB), applies `overrides` ("section.key=value", value in YAML) in order,
 * fills defaults, checks every rule. On GR_ERROR_CONFIG the message holds one line per broken rule
 * ("path:line: train.momentum: found 1.5, allowed 0 <= x < 1"), a misspelt key with its nearest.
 */
gr_status gr_config_load(const char *path, const char *const *overrides, size_t n_overrides,
                         struct gr_config **out) GR_CHECKED;

/* The same for text in memory; `name` stands for the path in messages. */
gr_status gr_config_parse(const char *name, const char *text, size_t length,
                          const char *const *overrides, size_t n_overrides,
                          struct gr_config **out) GR_CHECKED;

/*
 * Not collective. Whether the rules of `policy` hold: there are several silos, each with a table of
 * its own.
 */
bool gr_policy_holds(const struct gr_config *config);
/* Not collective. The fewest silos whose sum may be known: policy.minimum_silos, or 1. */
uint32_t gr_policy_silos(const struct gr_config *config);

/* The resolved settings as YAML that gr_config_parse takes. Caller releases with gr_free. */
gr_status gr_config_to_yaml(const struct gr_config *config, char **out) GR_CHECKED;

/*
 * BLAKE2b-256 over the settings that decide the bits of the model. Left out, and so free to change
 * between a run and its resumption: run.name, run.rounds, run.directory, run.placement,
 * run.rehearsal, the paths of tables and schema (data are compared by what they hold), all of round
 * but participants, sampling and availability, stop.patience, aggregation.ranks_per_node, evaluate,
 * checkpoint, alerts, policy and faults.
 */
gr_status gr_config_digest(const struct gr_config *config,
                           unsigned char out[GR_DIGEST_BYTES]) GR_CHECKED;
/*
 * Those of these settings that differ, with both values: "train.learning_rate: 0.1 then, 0.2 now;
 * ...". *out NULL: none; the caller releases it with gr_free.
 */
gr_status gr_config_difference(const struct gr_config *then, const struct gr_config *now,
                               char **out) GR_CHECKED;

/* Whether the setting at "run.rounds" has no default. */
bool gr_config_requires(const char *path);
/*
 * A line for each setting of a section or below it ("train", "data.csv", "train.momentum"; "" for
 * all): its default, or that it is required, and what is allowed. From the table that the checker
 * goes by. Released with gr_free. Errors: GR_ERROR_USAGE with the nearest section.
 */
gr_status gr_config_help(const char *section, char **out) GR_CHECKED;
/* The same for a schema's columns. */
gr_status gr_schema_help(char **out) GR_CHECKED;

void gr_config_free(struct gr_config *config);

/* ---- schema contract ------------------------------------------------------------------------- */

/* A column of a table, in the order of the file. Text is never NULL. */
struct gr_column {
    char *name;
    enum gr_column_type type;
    char *unit;           /* for people; default "" */
    double *range;        /* number, integer, target: [low, high]; values outside are counted */
    unsigned range_count; /* 0 or 2 */
    char **categories;    /* category, label: distinct */
    unsigned categories_count;
    enum gr_missing missing; /* default refuse */
    enum gr_encode encode;   /* category; default code */
    enum gr_scale scale;     /* number, integer; default `default` */
    bool open; /* category: `categories` are those that this table has, and the silos' together
                  count; so it is where none are listed; default false */
    /* How cells are written. */
    enum gr_decimal decimal;     /* default point */
    enum gr_thousands thousands; /* default none */
    bool percent;                /* cells may end in "%": the number in front of it counts */
    char **affixes;              /* currencies and units that may stand before or behind a number */
    unsigned affixes_count;
    char **missing_words; /* further cells that stand for no value; of columns of numbers those that
                             are numbers are compared by value */
    unsigned missing_words_count;
    char **censored; /* number: cells like "> 89" that stand for the bound itself */
    unsigned censored_count;
    double origin; /* number, integer: taken off in double precision before the value is stored as
                      float32; default 0 */
    enum gr_date_format format; /* date, datetime; default iso */
    enum gr_date_unit in;       /* date, datetime; default days */
    char *since; /* date, datetime: the day that is counted from, ISO, or the name of another date
                    column; default "" : 2000-01-01 */
    enum gr_unlabelled unlabelled; /* label, target; default refuse */
};
/* Of an open column in one table, and over all silos; and bytes of each. */
enum { GR_OPEN_CATEGORIES_MAX = 10000, GR_OPEN_CATEGORY_BYTES = 256 };

/*
 * A table's columns. `decimal`, `thousands` and `missing_words` of the table are shorthands: once a
 * schema has been read they stand in its columns, and are empty here.
 */
struct gr_schema {
    enum gr_decimal decimal;
    enum gr_thousands thousands;
    char **missing_words;
    unsigned missing_words_count;
    struct gr_column *columns;
    unsigned columns_count;
};
/*
 * A date's text: ISO is 2024-01-31 (also with "/" or ".", or 20240131), day_first 31.01.2024,
 * month_first 01/31/2024; years have four digits. with_time: behind a "T" or a space there may be
 * 23:59, 23:59:59 or 23:59:59.5, and a zone: Z, +01:00, +0100 or +01; without a zone a time counts
 * as UTC. Without `with_time` only midnight without a zone is taken. *seconds: from
 * 1970-01-01T00:00:00 UTC; written for GR_DATE_READ only.
 */
enum gr_date_reading {
    GR_DATE_READ,
    GR_DATE_NONE,        /* not of that form */
    GR_DATE_SHORT_YEAR,  /* of two digits: which century is not for a program to say */
    GR_DATE_NO_SUCH_DAY, /* 2023-02-29 */
    GR_DATE_NO_SUCH_TIME,
    GR_DATE_HAS_TIME /* where there should be none */
};
enum gr_date_reading gr_date_read(const char *text, size_t length, enum gr_date_format format,
                                  bool with_time, double *seconds);
/* What was found, for a message; of all but GR_DATE_READ. */
const char *gr_date_reading_text(enum gr_date_reading reading, enum gr_date_format format);

/*
 * Of a whole number written with a fraction of zeros ("1.0", "-2.00") the length without it; of
 * any other text its own. decimal: of the column.
 */
size_t gr_whole_length(const char *text, size_t length, enum gr_decimal decimal);
/* Whether a text is a whole number: digits, perhaps a sign before and a fraction of zeros behind.
 */
bool gr_is_whole(const char *text, size_t length, enum gr_decimal decimal);
/* Whether rows as read have a value of such a column, and whether that is a number. */
bool gr_column_has_value(enum gr_column_type type);
bool gr_column_is_number(enum gr_column_type type);

/*
 * Reads a schema file (YAML, at most 1 MiB) with `columns: [{name: ..., type: ...}, ...]` and
 * checks its rules. Errors as gr_config_load. Caller releases with gr_schema_free.
 */
gr_status gr_schema_load(const char *path, struct gr_schema **out) GR_CHECKED;
/* The same for text in memory. */
gr_status gr_schema_parse(const char *name, const char *text, size_t length,
                          struct gr_schema **out) GR_CHECKED;
/* YAML that gr_schema_parse takes. Caller releases with gr_free. */
gr_status gr_schema_to_yaml(const struct gr_schema *schema, char **out) GR_CHECKED;
gr_status gr_schema_copy(const struct gr_schema *schema, struct gr_schema **out) GR_CHECKED;
void gr_schema_free(struct gr_schema *schema);

/* ---- a fit ----------------------------------------------------------------------------------- */

/*
 * What a table's values become, with all that had to be learnt of them. A value is what a row has
 * of a column of numbers or categories, in the order of the columns, or where the tables name none,
 * a feature. All lists but `low` and `high`, which may be empty, have an entry for each value.
 */
struct gr_fit {
    struct gr_schema schema; /* no columns: the tables name none; open columns list the categories
                                of all silos */
    double *low, *high;      /* numbers are clipped to these */
    unsigned low_count, high_count;
    double *fill; /* what a missing one becomes: a feature, or a category's code */
    unsigned fill_count;
    double *centre, *spread; /* a number's feature is (value - centre) / spread; 0 for spread 0 */
    unsigned centre_count, spread_count;
};
enum { GR_FIT_VALUES_MAX = 10000 };

/* YAML as gr_fit_to_yaml writes it; numbers survive to the last bit. Errors: GR_ERROR_CONFIG. */
gr_status gr_fit_parse(const char *name, const char *text, size_t length,
                       struct gr_fit **out) GR_CHECKED;
gr_status gr_fit_to_yaml(const struct gr_fit *fit, char **out) GR_CHECKED;
void gr_fit_free(struct gr_fit *fit);

char gr_separator_byte(enum gr_separator separator);
const char *gr_column_type_text(enum gr_column_type type);
const char *gr_missing_text(enum gr_missing missing);
const char *gr_scale_text(enum gr_scale scale);

/* Names as they stand in the config, e.g. "ring32". */
const char *gr_encoding_text(enum gr_encoding encoding);
const char *gr_stop_text(enum gr_stop_metric metric);
const char *gr_sampling_text(enum gr_sampling sampling);
const char *gr_optimizer_text(enum gr_optimizer optimizer);
const char *gr_model_type_text(enum gr_model_type type);
const char *gr_layer_type_text(enum gr_layer_type type);
const char *gr_padding_text(enum gr_padding padding);
const char *gr_loss_text(enum gr_loss_type loss);
/* Whether a model of this config predicts a number or a count, and no class. */
bool gr_predicts_number(const struct gr_model_config *config);
/* The loss of a model: the type's own where the config says `default`. */
enum gr_loss_type gr_loss_of(const struct gr_model_config *config);
/* What a model's loss is defined for: labels 0 to n_classes - 1, or finite targets from `least` on.
 */
struct gr_domain {
    bool labels;
    uint32_t n_classes; /* 0: any number, as many as there are */
    double least;
    const char *found, *expected; /* of a message about others; expected NULL: of labels */
};
struct gr_domain gr_domain_of(const struct gr_model_config *config);
const char *gr_activation_text(enum gr_activation activation); /* of a layer too */
const char *gr_compute_text(enum gr_compute compute);
const char *gr_partition_text(enum gr_partition_method method);

#ifdef __cplusplus
}
#endif
#endif
