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

#include <granary/settings.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a config file, and of any config's text: a resolved one is longer than what it is from.
 */
enum { GR_CONFIG_FILE_MAX = 1 << 20, GR_CONFIG_TEXT_MAX = 8 << 20 };

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
/* The role and type of a column of a table. */
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
/* The treatment of a value that is not there; mean and mode are of all silos' training rows. */
enum gr_missing {
    GR_MISSING_REFUSE,
    GR_MISSING_MEAN,      /* number, integer: the mean of the others */
    GR_MISSING_MODE,      /* category: the most frequent, the first of several */
    GR_MISSING_INDICATOR, /* zero, and 1 in a further feature NAME_missing */
    GR_MISSING_ZERO       /* the feature is 0, also of a scaled column; categories: with one_hot
                             only */
};
/* How a category becomes features. */
enum gr_encode {
    GR_ENCODE_CODE,   /* one: its place in `categories`; their number for one that is not there */
    GR_ENCODE_ONE_HOT /* one for each, NAME=CATEGORY: 1 or 0; all 0 for one that is not there */
};
/*
 * Not collective. Reads `path` (at most 1 MiB), applies `overrides` ("section.key=value", value in
 * YAML) in order, fills defaults, checks every rule. On GR_ERROR_CONFIG the message holds one line
 * per broken rule
 * ("path:line: train.momentum: found 1.5, allowed 0 <= x < 1"), a misspelt key with its nearest.
 */
gr_status gr_config_load(const char *path, const char *const *overrides, size_t n_overrides,
                         struct gr_config **out) GR_CHECKED;

/*
 * Not collective. As gr_config_load, for text of `length` bytes in memory; `name` stands for the
 * path in messages.
 */
gr_status gr_config_parse(const char *name, const char *text, size_t length,
                          const char *const *overrides, size_t n_overrides,
                          struct gr_config **out) GR_CHECKED;

/*
 * Not collective. Whether the rules of `policy` hold: there are several silos, each with a table of
 * its own.
 */
bool gr_policy_holds(const struct gr_config *config);
/* Not collective. The fewest silos whose sum may be known: policy.minimum_silos, with secure sums 3
 * at least; where the policy does not hold 1. */
uint32_t gr_policy_silos(const struct gr_config *config);
/* Not collective. Whether what leaves is to be differentially private: privacy.unit is not none. */
bool gr_is_private(const struct gr_config *config);
/* Not collective. With privacy.adaptive_clipping the standard deviation of the noise in the count
 * of silos; else 0. */
double gr_privacy_count_noise(const struct gr_config *config);
/* Not collective. With privacy.unit silo the standard deviation of the noise in a sum of updates /
 * clip norm, by which the sum and the count together tell what privacy.noise_multiplier says. */
double gr_privacy_update_noise(const struct gr_config *config);
/* Not collective. Whether the silos are those of a study's sites: as a party takes it, or as its
 * file says it, where words stand in the place of tables. */
bool gr_has_sites(const struct gr_config *config);
/* Not collective. The parties of secure sums: the sites of a study's run, or else the silos. */
uint32_t gr_secure_parties(const struct gr_config *config);
/* Not collective. secure.threshold, or where that is 0 floor(2n/3) + 1 of n parties. */
uint32_t gr_secure_threshold(const struct gr_config *config, uint32_t n_parties);
enum gr_listed { GR_LISTED_AWAY = 1, GR_LISTED_HERE = 2 };
/*
 * Not collective. The number of a silo's random streams: of a silo with a name the first 32 bits of
 * the name's BLAKE2b-256, little-endian, so that they are the same whatever other silos there are,
 * in whatever order; else its place in the list. Of no two silos of a config the same.
 */
uint32_t gr_silo_stream(const struct gr_config *config, uint32_t silo);
/* Not collective. Whether the silos of a config have names: all have, or none. */
bool gr_silos_named(const struct gr_config *config);
/* Not collective. The silo of that name; data.silos: none has it. */
uint32_t gr_silo_find(const struct gr_config *config, const char *name);
/* Rounds 1 to n_rounds, and which silos took part in which, as round.availability has it: silos in
 * no entry took part in all. */
struct gr_recorded_rounds {
    struct gr_availability_config *entries; /* owned, with their lists */
    unsigned n;
    uint32_t n_rounds;
    uint32_t minimum_silos; /* policy.minimum_silos from now on; 0: as it was */
};
/*
 * Not collective. YAML of a config without one of its silos, in which the others, numbered anew,
 * take part in the rounds that are given, and nobody is drawn; faults and round.replay are left
 * out. Nothing is checked: gr_config_parse does it. Caller releases with gr_free.
 */
gr_status gr_config_without(const struct gr_config *config, uint32_t silo,
                            const struct gr_recorded_rounds *rounds, char **yaml) GR_CHECKED;
/* Not collective. Flags the silos of round.availability as in a round they are there or not; who is
 * not listed is. listed: cleared first; of more elements than any silo of the list. */
void gr_round_listed(const struct gr_round_config *round, uint32_t number, struct gr_flags *listed);

/* Not collective. The resolved settings as YAML that gr_config_parse takes. Caller releases with
 * gr_free. */
gr_status gr_config_to_yaml(const struct gr_config *config, char **out) GR_CHECKED;

/*
 * Not collective. BLAKE2b-256 over the settings that decide the bits of the model. Left out, and so
 * free to change between a run and its resumption: run.name, run.rounds, run.directory,
 * run.placement, run.rehearsal, the paths of tables and schema (data are compared by what they
 * hold), all of round but participants, sampling and availability, stop.patience,
 * aggregation.ranks_per_node, aggregation.between, evaluate, checkpoint, alerts,
 * observe, policy and faults.
 */
gr_status gr_config_digest(const struct gr_config *config,
                           unsigned char out[GR_DIGEST_BYTES]) GR_CHECKED;
/* A setting that differs between two configs; all text is of the call. */
struct gr_difference {
    const char *path, *was, *now; /* long values are cut */
    bool decides;                 /* it is of the digest */
};
typedef void (*gr_difference_function)(void *context, const struct gr_difference *difference);
/* Not collective. Visits the settings that differ, of the digest or not, lists as a whole. */
gr_status gr_config_each_difference(const struct gr_config *then, const struct gr_config *now,
                                    gr_difference_function visit, void *context) GR_CHECKED;
/*
 * Not collective. Lists the settings of the digest that differ, with both values:
 * "train.learning_rate: 0.1 then, 0.2 now;
 * ...", but for those that may change; may_change NULL: none may. *out NULL: none; the caller
 * releases it with gr_free.
 */
gr_status gr_config_difference(const struct gr_config *then, const struct gr_config *now,
                               bool (*may_change)(const struct gr_config *now, const char *path),
                               char **out) GR_CHECKED;

/*
 * Not collective. Whether the setting at a path, such as "run.rounds", has no default and must be
 * given.
 */
bool gr_config_requires(const char *path);
/*
 * Not collective. A line for each setting of a section or below it ("train", "data.csv",
 * "train.momentum"; "" for all): its default, or that it is required, and what is allowed. From the
 * table that the checker goes by. Released with gr_free. Errors: GR_ERROR_USAGE with the nearest
 * section.
 */
gr_status gr_config_help(const char *section, char **out) GR_CHECKED;
/* Not collective. As gr_config_help, for the keys of a schema's columns. Released with gr_free. */
gr_status gr_schema_help(char **out) GR_CHECKED;

/* Not collective. Releases a config with all its text and lists; NULL is accepted. */
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
    bool slices_only; /* number, integer, category, date: it is no feature, for evaluate.slices
                         alone; values may be missing; default false */
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
/*
 * Not collective. Reads a date, and with `with_time` a time behind it, of `length` bytes; the forms
 * are listed above. *seconds: from 1970-01-01T00:00:00 UTC, written for GR_DATE_READ only.
 */
enum gr_date_reading gr_date_read(const char *text, size_t length, enum gr_date_format format,
                                  bool with_time, double *seconds);
/*
 * Not collective. Returns the finding in words, for a message about a cell of that format; of every
 * reading but GR_DATE_READ. Static.
 */
const char *gr_date_reading_text(enum gr_date_reading reading, enum gr_date_format format);

/*
 * Not collective. Returns the length of a whole number without a fraction of zeros behind it
 * ("1.0", "-2.00"); of any other text its own length. decimal: of the column.
 */
size_t gr_whole_length(const char *text, size_t length, enum gr_decimal decimal);
/* Not collective. Whether a text is a whole number: digits, perhaps a sign before and a fraction of
 * zeros behind.
 */
bool gr_is_whole(const char *text, size_t length, enum gr_decimal decimal);
/* Not collective. Whether rows as read have a value of a column of that type. */
bool gr_column_has_value(enum gr_column_type type);
/* Not collective. Whether rows as read may lack the column's value. */
bool gr_column_may_lack(const struct gr_column *column);
/* Not collective. Whether a value of a column of that type is a number. */
bool gr_column_is_number(enum gr_column_type type);

/*
 * Not collective. Reads a schema file (YAML, at most 1 MiB) with `columns: [{name: ..., type: ...},
 * ...]` and checks its rules. Errors as gr_config_load. Caller releases with gr_schema_free.
 */
gr_status gr_schema_load(const char *path, struct gr_schema **out) GR_CHECKED;
/*
 * Not collective. Whether data.schema says all that secure sums and differential privacy do not ask
 * of silos: the categories of each column, the range of each that is scaled or filled or is a
 * weight, and with privacy.unit person who the person of a row is. GR_OK without these settings,
 * and without a schema. Errors: as gr_schema_load.
 */
gr_status gr_schema_check_secure(const struct gr_config *config) GR_CHECKED;
/*
 * Not collective. With privacy.unit row and a schema that has a column of groups, a line about
 * persons with several rows, for whoever looks at the config; else NULL. *out: the caller's, for
 * gr_free. Errors: as gr_schema_load.
 */
gr_status gr_privacy_remark(const struct gr_config *config, char **out) GR_CHECKED;
/*
 * Not collective. As gr_schema_load, for text of `length` bytes in memory; `name` stands for the
 * path in messages.
 */
gr_status gr_schema_parse(const char *name, const char *text, size_t length,
                          struct gr_schema **out) GR_CHECKED;
/* Not collective. YAML that gr_schema_parse takes. Caller releases with gr_free. */
gr_status gr_schema_to_yaml(const struct gr_schema *schema, char **out) GR_CHECKED;
/*
 * Not collective. Copies a schema with all its text. Caller releases with gr_schema_free. Errors:
 * GR_ERROR_INTERNAL.
 */
gr_status gr_schema_copy(const struct gr_schema *schema, struct gr_schema **out) GR_CHECKED;
/* Not collective. Releases a schema with all its text and lists; NULL is accepted. */
void gr_schema_free(struct gr_schema *schema);

/* ---- a fit ----------------------------------------------------------------------------------- */

/*
 * How a table's values become features, with all statistics learnt for it. A value is a row's entry
 * in a column of numbers or categories, in the order of the columns, or where the tables name none,
 * a feature. All lists but `low` and `high`, which may be empty, have an entry for each value.
 */
struct gr_fit {
    struct gr_schema schema; /* no columns: the tables name none; open columns list the categories
                                of all silos */
    double *low, *high;      /* numbers are clipped to these */
    unsigned low_count, high_count;
    double *fill; /* a missing value becomes this: a feature, or a category's code */
    unsigned fill_count;
    double *centre, *spread; /* a number's feature is (value - centre) / spread; 0 for spread 0 */
    unsigned centre_count, spread_count;
};
enum { GR_FIT_VALUES_MAX = 10000 };

/* Not collective. YAML as gr_fit_to_yaml writes it; numbers survive to the last bit. Errors:
 * GR_ERROR_CONFIG. */
gr_status gr_fit_parse(const char *name, const char *text, size_t length,
                       struct gr_fit **out) GR_CHECKED;
/*
 * Not collective. Writes a fit as YAML that gr_fit_parse takes. Caller releases with gr_free.
 * Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_fit_to_yaml(const struct gr_fit *fit, char **out) GR_CHECKED;
/* Not collective. Releases a fit with its schema and lists; NULL is accepted. */
void gr_fit_free(struct gr_fit *fit);

/*
 * Not collective. Returns the byte that separates fields; a comma for `auto`, before a file was
 * looked at.
 */
char gr_separator_byte(enum gr_separator separator);
/* Not collective. Returns the word for a type of column, "number". Static. */
const char *gr_column_type_text(enum gr_column_type type);
/* Not collective. Returns the word for a treatment of missing values, "refuse". Static. */
const char *gr_missing_text(enum gr_missing missing);
/* Not collective. Returns the word for a scaling, "standardise". Static. */
const char *gr_scale_text(enum gr_scale scale);

/* Not collective. Returns the word for an encoding as it stands in a config, "ring32". Static. */
const char *gr_encoding_text(enum gr_encoding encoding);
/* Not collective. The word of a config for it, static. */
const char *gr_between_text(enum gr_between between);
/* Not collective. "row". Static. */
const char *gr_resampled_text(enum gr_resampled unit);
/*
 * Not collective. Returns the word for a metric that a run is stopped by, "validation_loss".
 * Static.
 */
const char *gr_stop_text(enum gr_stop_metric metric);
/* Not collective. Returns the word for a kind of gate, "score". Static. */
const char *gr_gate_kind_text(enum gr_gate_kind kind);
/* Not collective. Returns the word for a unit of privacy, "row". Static. */
const char *gr_privacy_unit_text(enum gr_privacy_unit unit);
/* Not collective. Returns the word for an adjacency, "add_remove". Static. */
const char *gr_neighbours_text(enum gr_neighbours adjacency);
/* Not collective. Returns the word for who adds noise, "silo". Static. */
const char *gr_noise_text(enum gr_noise_place noise);
/* Not collective. Returns the word for a way in which units come into steps, "poisson". Static. */
const char *gr_private_sampling_text(enum gr_private_sampling sampling);
/* Not collective. Returns the word for a way of sampling, "uniform". Static. */
const char *gr_sampling_text(enum gr_sampling sampling);
/* Not collective. Returns the word for a local optimizer, "sgd". Static. */
const char *gr_optimizer_text(enum gr_optimizer optimizer);
/* Not collective. Returns the word for a type of model, "mlp". Static. */
const char *gr_model_type_text(enum gr_model_type type);
/* Not collective. Returns the word for a type of layer, "conv". Static. */
const char *gr_layer_type_text(enum gr_layer_type type);
/*
 * Not collective. Returns the key that a layer, of a type that model.layers may name, needs and has
 * no value for; NULL: it lacks none. Static.
 */
const char *gr_layer_lacks(const struct gr_layer_config *layer);
/* Not collective. Returns the word for a padding, "valid". Static. */
const char *gr_padding_text(enum gr_padding padding);
/* Not collective. Returns the word for a loss, "cross_entropy". Static. */
const char *gr_loss_text(enum gr_loss_type loss);
/* Not collective. Whether a model of this config predicts a number or a count, and no class. */
bool gr_predicts_number(const struct gr_model_config *config);
/* Not collective. The loss of a model: the type's own where the config says `default`. */
enum gr_loss_type gr_loss_of(const struct gr_model_config *config);
/* The labels or targets that a model's loss is defined for: labels 0 to n_classes - 1, or finite
 * targets from `least` on.
 */
struct gr_domain {
    bool labels;
    uint32_t n_classes; /* 0: any number, as many as there are */
    double least;
    const char *found, *expected; /* of a message about others; expected NULL: of labels */
};
/*
 * Not collective. Returns the labels or targets that the loss of a model of this config is defined
 * for.
 */
struct gr_domain gr_domain_of(const struct gr_model_config *config);
/* Not collective. Returns the word for an activation of a model or layer, "relu". Static. */
const char *gr_activation_text(enum gr_activation activation);
/* Not collective. Returns the word for a precision, "float32". Static. */
const char *gr_compute_text(enum gr_compute compute);
/* Not collective. Returns the word for a way of dealing rows, "dirichlet". Static. */
const char *gr_partition_text(enum gr_partition_method method);

#ifdef __cplusplus
}
#endif
#endif
