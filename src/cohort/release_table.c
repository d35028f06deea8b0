/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of releases: all that leaves a silo, with the rule that withholds it. It is both
 * documentation and check: `granary releases` prints it, and the door refuses what it does not list
 * (gr_release_leaves). A predicate may be true of a config under which nothing comes to leave,
 * never false of one under which something does. Numbers of releases stand in the events of earlier
 * runs: they are never used again.
 */
#include <granary/release.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- which configs let a release out -------------------------------------------------------- */

/* Sources whose columns may have names; IDX files and synthetic rows have none. */
static bool has_columns(const struct gr_config *c) {
    return c->data.source == GR_SOURCE_CSV || c->data.source == GR_SOURCE_HDF5;
}

static bool has_open_columns(const struct gr_config *c) {
    return has_columns(c); /* a schema may hold `open` columns: the tables tell */
}

/* A table that every process reads and cuts into silos for itself. */
static bool has_common_table(const struct gr_config *c) {
    return c->data.silo_tables_count == 0 && c->data.source != GR_SOURCE_SYNTHETIC;
}

/* An embedding is sized by the number of categories. */
static bool looks_up(const struct gr_config *c) {
    return c->model.embedding > 0;
}

/* Columns may ask for it one by one, even with preprocess.scale none. */
static bool preprocesses(const struct gr_config *c) {
    return has_columns(c) || c->preprocess.scale != GR_SCALE_NONE;
}

/* A column's own `scale` may ask for them as well. */
static bool may_tell_extremes(const struct gr_config *c) {
    const bool may_ask = c->preprocess.scale == GR_SCALE_MIN_MAX || c->data.schema[0] ||
                         c->data.source == GR_SOURCE_HDF5;
    return may_ask && (!gr_policy_holds(c) || c->policy.extremes);
}

static bool weighs_classes(const struct gr_config *c) {
    return c->train.class_weights != GR_CLASS_WEIGHTS_NONE;
}

/* round.share_sizes allows it; nothing else has a use for it. */
static bool shares_sizes(const struct gr_config *c) {
    return c->round.sampling == GR_SAMPLING_SIZE;
}

/* Strategies that need the updates side by side (medians, Krum): they have no sum. */
static bool combines(const struct gr_config *c) {
    return gr_strategy_find(c->strategy.name)->combine != NULL;
}

static bool adds_up(const struct gr_config *c) {
    return !combines(c);
}

/* Floats need no exponents, and a public grid's follows from the config. */
static bool on_agreed_grid(const struct gr_config *c) {
    return adds_up(c) && c->aggregation.encoding != GR_ENCODING_FLOAT32 &&
           c->aggregation.grid == GR_GRID_AGREED;
}

/* Synthetic silos come with test rows of their own. */
static bool holds_rows_out(const struct gr_config *c) {
    return c->data.validation_fraction > 0 || c->data.test_fraction > 0 ||
           c->data.source == GR_SOURCE_SYNTHETIC;
}

/* A common test table is nobody's, and is scored with the rows of silos, if there are any. */
static bool scores_rows(const struct gr_config *c) {
    const struct gr_table_config *test = &c->data.test;
    return c->evaluate.every > 0 &&
           (holds_rows_out(c) || test->file[0] || test->features[0] || test->labels[0]);
}

static bool finds_sets(const struct gr_config *c) {
    return scores_rows(c) && c->evaluate.conformal.alpha > 0;
}

static bool recalibrates(const struct gr_config *c) {
    return scores_rows(c) && c->evaluate.recalibration != GR_RECALIBRATION_NONE;
}

/* The AUC is of two classes. */
static bool bins_scores(const struct gr_config *c) {
    return scores_rows(c) && !gr_predicts_number(&c->model);
}

/* A common test table has no silo's scores. */
static bool scores_silos(const struct gr_config *c) {
    return c->evaluate.every > 0 && c->evaluate.per_silo && holds_rows_out(c);
}

static bool resamples(const struct gr_config *c) {
    return scores_rows(c) && c->evaluate.bootstrap.replicates > 0;
}

static bool scores_slices(const struct gr_config *c) {
    return scores_rows(c) && c->evaluate.slices_count > 0;
}

static bool scores_silo_slices(const struct gr_config *c) {
    return scores_silos(c) && c->evaluate.slices_count > 0;
}

static bool scores_with_noise(const struct gr_config *c) {
    return c->evaluate.every > 0 && c->privacy.evaluation.noise_multiplier > 0;
}

static bool fits_with_noise(const struct gr_config *c) {
    return c->privacy.statistics.noise_multiplier > 0;
}

static bool asks_for_classes(const struct gr_config *c) {
    return c->data.validation_fraction > 0 || c->data.test_fraction > 0 ||
           (c->model.classes == 0 && !gr_predicts_number(&c->model));
}

/* Where the first round has all silos: its line tells the same number. */
static bool tells_rows(const struct gr_config *c) {
    const uint32_t drawn = c->round.participants;
    return (drawn == 0 || drawn >= c->data.silos) && c->round.sampling != GR_SAMPLING_LIST &&
           !c->round.replay[0];
}

static bool reads_csv(const struct gr_config *c) {
    return c->data.source == GR_SOURCE_CSV;
}

static bool is_scraped(const struct gr_config *c) {
    return c->observe.prometheus[0] != '\0';
}

/* ---- the table ------------------------------------------------------------------------------ */

#define RANKS   "all ranks"
#define RECORDS "all ranks, run directory"
#define MODEL   "all ranks, run directory, model.h5"

static const struct gr_release_row rows[] = {
    {GR_RELEASE_COLUMN_DIGESTS, "column-digests",
     "of each column a digest of its name, type and categories", "maximum of 62-bit digests", RANKS,
     GR_RELEASE_AT_START, "data.schema: they then follow from it, and tell nothing of a table",
     has_columns, GR_SECURE_AS_IT_IS, GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_COLUMNS, "columns",
     "without data.schema: names, types and ways to write numbers, as guessed of the table of the "
     "lowest rank",
     "text", MODEL, GR_RELEASE_AT_START, "data.schema: nothing is guessed", has_columns,
     GR_SECURE_REFUSED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_FINDINGS, "findings",
     "of each column the rows that are missing, outside of the range, of no known category, "
     "censored, left out or taken as 0",
     "sums of counts", RECORDS, GR_RELEASE_AT_START,
     "counts, and what is left without them, that may be of fewer rows than "
     "data.disclosure_threshold, or of fewer silos than policy.minimum_silos: silos first tell of "
     "each whether it is none, few or enough; once for a run, not as it goes on",
     has_columns, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_SHAPE, "shape", "number of classes, features and dimensions of a row",
     "maximum of counts", MODEL, GR_RELEASE_AT_START, NULL, NULL, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_UNUSABLE, "unusable",
     "which silos' data cannot be used: a reason out of a fixed list, and the column",
     "pseudonym and numbers", RECORDS, GR_RELEASE_AT_START,
     "the whole reason, row and value stay on the terminal of the silo's process, and in the log "
     "of silos[].directory; with secure.aggregation the reason and the column do as well",
     NULL, GR_SECURE_AS_IT_IS, GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_ERRORS, "errors", "the message of the lowest rank that fails",
     "text without values, rows and paths", RANKS, GR_RELEASE_WHEN_IT_COMES, NULL, NULL,
     GR_SECURE_AS_IT_IS, GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_CODES, "codes", "number of categories of each feature that is looked up",
     "maximum of counts", MODEL, GR_RELEASE_AT_START, NULL, looks_up, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_CATEGORIES, "categories", "names of the categories of open columns",
     "texts; ranks bring lists, of which the union is kept",
     "all ranks; run directory, model.h5: the union", GR_RELEASE_AT_START,
     "of fewer training rows of each silo than data.disclosure_threshold; columns that data.schema "
     "lists are not asked for",
     has_open_columns, GR_SECURE_REFUSED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_MODES, "modes",
     "rows of each category of a column whose mode fills what is missing", "sums of counts",
     "all ranks; model.h5: the mode", GR_RELEASE_AT_START,
     "columns with fewer values than data.disclosure_threshold, or values of fewer silos than "
     "policy.minimum_silos",
     preprocesses, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_VALUE_EXPONENTS, "value-exponents",
     "of each column that is standardised the power of two above the greatest magnitude and above "
     "the greatest deviation",
     "maximum of exponents", RANKS, GR_RELEASE_AT_START, NULL, preprocesses, GR_SECURE_REFUSED,
     GR_PRIVATE_REFUSED},
    {GR_RELEASE_EXTREMES, "extremes",
     "least and greatest value of each column with min_max and no range", "maximum of float32",
     MODEL, GR_RELEASE_AT_START,
     "policy.extremes (default false): a range in data.schema is taken instead", may_tell_extremes,
     GR_SECURE_REFUSED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_MOMENTS, "moments",
     "of each column that is standardised or filled by its mean: values, their sum, and the sum of "
     "squared deviations; of these and of columns filled by their mode whether values and silos "
     "are "
     "enough",
     "sums of 192-bit numbers", "all ranks; model.h5: mean and deviation", GR_RELEASE_AT_START,
     "columns with fewer values than data.disclosure_threshold, or values of fewer silos than "
     "policy.minimum_silos",
     preprocesses, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_CLASS_COUNTS, "class-counts", "training rows (or their weights) of each class",
     "sums of counts", "all ranks, checkpoints", GR_RELEASE_AT_START,
     "counts below data.disclosure_threshold are told, and used, as the threshold", weighs_classes,
     GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_SIZES, "sizes", "training rows of each silo", "count for each silo", RANKS,
     GR_RELEASE_AT_START,
     "round.sampling: size alone asks for it, and round.share_sizes has to allow it", shares_sizes,
     GR_SECURE_REFUSED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_FINGERPRINTS, "fingerprints", "salted digests of what each silo has read",
     "three digests of 62 bits for each silo", RECORDS, GR_RELEASE_AT_START,
     "the salts stay in secrets/, which only the account can read", NULL, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_COMMON_TABLE, "common-table", "the table that is dealt to the silos", "every row",
     "every process, which all read it", GR_RELEASE_AT_START,
     "data.silo_tables: each process reads the tables of its own silos", has_common_table,
     GR_SECURE_COMMON, GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_UPDATE_EXPONENTS, "update-exponents",
     "of each 4,096 elements the power of two above the greatest of all updates times weights",
     "maximum of exponents", RANKS, GR_RELEASE_EACH_ROUND,
     "aggregation.grid: public: the exponent then follows from the config, and tells nothing",
     on_agreed_grid, GR_SECURE_REFUSED, GR_PRIVATE_NOISED},
    {GR_RELEASE_UPDATE, "update",
     "the sum of updates times weights, of weights and of rows; with fednova of local steps, with "
     "scaffold of changes of control variates, with privacy.adaptive_clipping of updates that are "
     "cut",
     "sum of vectors",
     "all ranks; of each rank the encoded sum of its silos, which may be one: the ranks of its "
     "node, "
     "through shared memory; of each node the sum, or a share of it: the nodes that add it up, by "
     "aggregation.between; model.h5: the model",
     GR_RELEASE_EACH_ROUND, "sums of fewer silos than policy.minimum_silos: the round is void",
     adds_up, GR_SECURE_MASKED, GR_PRIVATE_NOISED},
    {GR_RELEASE_TRAINING, "training", "loss, rows trained on, and rows processed", "sums", RECORDS,
     GR_RELEASE_EACH_ROUND,
     "sums of fewer silos than policy.minimum_silos, or fewer rows than data.disclosure_threshold",
     NULL, GR_SECURE_MASKED, GR_PRIVATE_PUBLIC},
    {GR_RELEASE_TIMES, "times",
     "processor time, bytes sent, seconds of sums, and the moment each silo is ready",
     "sums; messages", RECORDS, GR_RELEASE_EACH_ROUND, NULL, NULL, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_SCORES, "scores",
     "losses and metrics of the rows held out and of the test table, confusion matrix, "
     "reliability, "
     "bins of the AUC, sums of the fits of calibration",
     "sums of counts and of 192-bit numbers", RECORDS, GR_RELEASE_EACH_SCORING,
     "of rows of silos' own tables: all of fewer rows than data.disclosure_threshold or fewer "
     "silos "
     "than policy.minimum_silos; in the run directory cells and bins below the threshold, and what "
     "shows them by subtraction, metrics beside them but in steps; policy.digits",
     scores_rows, GR_SECURE_MASKED, GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_SILO_SCORES, "silo-scores",
     "of each silo loss, accuracy, metrics and rows of its validation", "numbers for each silo",
     RECORDS, GR_RELEASE_EACH_SCORING,
     "evaluate.per_silo (default false); silos of fewer rows than evaluate.minimum_rows, and one "
     "more where one alone is withheld; policy.digits",
     scores_silos, GR_SECURE_REFUSED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_PARTICIPATION, "participation",
     "which silos took part, were lost, late, back, or sat out and why", "bits for each silo",
     "all ranks, run directory, checkpoints", GR_RELEASE_EACH_ROUND, NULL, NULL, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_CHECKPOINT, "checkpoint",
     "model, server state, best model: functions of the above; the best model's score with all "
     "digits",
     "vectors", "run directory", GR_RELEASE_AT_CHECKPOINT, NULL, NULL, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_UNSCORED, "unscored", "which silos' held-out rows cannot be scored",
     "bit for each silo", RECORDS, GR_RELEASE_WHEN_IT_COMES,
     "the row and its values stay on the terminal of the silo's process, and in the log of "
     "silos[].directory",
     holds_rows_out, GR_SECURE_AS_IT_IS, GR_PRIVATE_REFUSED},
    {GR_RELEASE_CLASSES_HELD, "classes-held",
     "which classes have rows, and have rows held out, in any silo", "bit for each class", RECORDS,
     GR_RELEASE_AT_START, NULL, asks_for_classes, GR_SECURE_BITS, GR_PRIVATE_REFUSED},
    {GR_RELEASE_ROW_TERMS, "row-terms",
     "whether rows have weights and offsets, the power of two above the greatest weight, and how "
     "many weights are too small to count",
     "maxima; sum of counts", RECORDS, GR_RELEASE_AT_START,
     "counts that may be below data.disclosure_threshold, or of fewer silos than "
     "policy.minimum_silos",
     NULL, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_ROWS, "rows", "training rows of all silos together", "sum of counts",
     "all ranks, terminal", GR_RELEASE_AT_START,
     "sums of fewer silos than policy.minimum_silos; told only where all silos take part",
     tells_rows, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_AUC_BOUNDS, "auc-bounds",
     "of two classes the greatest and least score in each bin of the AUC", "maximum of float32",
     RANKS, GR_RELEASE_EACH_SCORING, "bins of fewer rows of silos than data.disclosure_threshold",
     bins_scores, GR_SECURE_REFUSED, GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_UPDATE_SLICES, "update-slices",
     "with a strategy that combines: of the update of each single silo, by its number, a slice to "
     "the process of each rank, together the whole update; sums of weights and of rows",
     "vectors of float32, as they are",
     "all ranks, a slice each; slices pass through memory that a node shares; what is made of "
     "them: "
     "model.h5",
     GR_RELEASE_EACH_ROUND,
     "none of an update is hidden: a strategy that adds up releases sums alone; rounds of fewer "
     "silos than policy.minimum_silos are void",
     combines, GR_SECURE_REFUSED, GR_PRIVATE_NOISED},
    {GR_RELEASE_JOB_COMMENT, "job-comment",
     "round, state and accuracy in the comment of a Slurm job", "text",
     "everybody who may see the queue", GR_RELEASE_EACH_ROUND,
     "accuracy only with GRANARY_JOB_COMMENT=accuracy; nothing with =off", NULL, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_PASSED_OVER, "passed-over",
     "whether any CSV file has a line `sep=`, comments, names of rows or empty columns",
     "four bits", RECORDS, GR_RELEASE_AT_START, NULL, reads_csv, GR_SECURE_BITS,
     GR_PRIVATE_REFUSED},
    {GR_RELEASE_SOFTWARE, "software",
     "what a site's process is made of: version and build of granary, sizes of its words, versions "
     "of libraries, number of processes; no host and no processor",
     "text", "the coordinator, terminal", GR_RELEASE_WHEN_ALL_MEET,
     "a site of another build is told so, and takes no part", gr_has_sites, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_NOISED_SCORES, "noised-scores",
     "of the rows that silos hold out, for validation and for the test: how many they are, the sum "
     "of their losses, each cut at privacy.evaluation.loss_bound, and how many are right; of "
     "persons, "
     "each of whom counts as one",
     "sums of counts, to which each silo has added noise", RECORDS, GR_RELEASE_EACH_SCORING,
     "all else of these rows: confusion matrix, reliability, AUC, metrics of classes, scores of "
     "single silos; sums of fewer silos than policy.minimum_silos",
     scores_with_noise, GR_SECURE_MASKED, GR_PRIVATE_NOISED},
    {GR_RELEASE_MONITORING, "monitoring",
     "figures of the last round, and their sums over rounds, in the file of observe.prometheus",
     "text", "everybody who may read the file, or ask whoever scrapes it", GR_RELEASE_EACH_ROUND,
     "all that is not in metrics.jsonl; single silos", is_scraped, GR_SECURE_AS_IT_IS,
     GR_PRIVATE_AS_IT_IS},
    {GR_RELEASE_NOISED_STATISTICS, "noised-statistics",
     "of each column that is standardised or filled by its mean: values, their sum and that of "
     "their squares, each clamped to the column's range; of each that is filled by its mode the "
     "rows of each category",
     "sums of integers, to which each silo has added noise",
     "all ranks; model.h5: mean, deviation and mode", GR_RELEASE_AT_START,
     "where fewer silos than policy.minimum_silos can be read nothing begins; once for a run, not "
     "as it goes on",
     fits_with_noise, GR_SECURE_MASKED, GR_PRIVATE_NOISED},
    {GR_RELEASE_BOOTSTRAP, "bootstrap",
     "of the rows that scores are of, in each replicate: how many there are of each label and "
     "prediction and in each of 64 bins of the AUC, and the sum of their losses, each rounded at "
     "random to a grid of 1 / 256 of the mean or finer; how many silos were drawn",
     "sums of integers", "all ranks; run directory: intervals, means and deviations of metrics",
     GR_RELEASE_EACH_SCORING,
     "as of scores, after the last round alone; a silo with a folder draws by a secret, so that "
     "replicates of its rows tell no more than counts of them; intervals go by the steps and "
     "digits of their metrics; silos are not drawn where they have tables of their own",
     resamples, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_SLICES, "slices",
     "of each group of evaluate.slices the rows that are scored, and silos that have some; then of "
     "groups that may be told losses, rows by class and by what they were taken for, and bins of "
     "the AUC",
     "sums of counts and of 192-bit numbers", RECORDS, GR_RELEASE_EACH_SCORING,
     "groups of fewer rows than evaluate.minimum_rows, of rows of silos' own tables also than "
     "data.disclosure_threshold, or of fewer silos than policy.minimum_silos, and others from "
     "which "
     "they would follow: of these ranks learn how many rows they have, and no more; shares of rows "
     "of silos' own tables in steps; after the last round only",
     scores_slices, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_SILO_SLICES, "silo-slices",
     "of each silo the groups of evaluate.slices among its validation rows: rows, losses, rows by "
     "class and by what they were taken for; of silos that are withheld rows and silos of each "
     "group together",
     "numbers for each silo and group", RECORDS, GR_RELEASE_EACH_SCORING,
     "evaluate.per_silo (default false); silos whose scores are withheld; a slicing of a silo of "
     "which one group is below the thresholds of slices, or withheld over all silos, and of one "
     "silo more where one alone is withheld, or of all where those that are withheld have few rows "
     "of a group together; after the last round only",
     scores_silo_slices, GR_SECURE_REFUSED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_RECALIBRATION, "recalibration",
     "of the validation rows the sums of the fit of evaluate.recalibration: the loss and its "
     "derivatives, a few times, or rows of each class in bins of their scores",
     "sums of counts and of 192-bit numbers",
     "all ranks; model.h5 and evaluation.json: slope and intercept, or the steps",
     GR_RELEASE_AT_THE_END,
     "fewer silos than policy.minimum_silos; fewer rows of a class than data.disclosure_threshold, "
     "of more than two classes in all, of steps in each; policy.digits; nothing where silos have "
     "gone since the model was scored",
     recalibrates, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
    {GR_RELEASE_CONFORMAL, "conformal",
     "how many validation rows there are, and how many of them have a score up to each of 14 "
     "places of a public grid (of numbers 16), which close in on the bound of evaluate.conformal",
     "sums of counts",
     "all ranks; model.h5 and evaluation.json: the bound, a row's score rounded up to the grid",
     GR_RELEASE_AT_THE_END,
     "fewer silos than policy.minimum_silos; fewer rows than data.disclosure_threshold on either "
     "side of the bound; nothing where silos have gone since the model was scored",
     finds_sets, GR_SECURE_MASKED, GR_PRIVATE_REFUSED},
};

const struct gr_release_row *gr_release_rows(size_t *n) {
    *n = COUNT(rows);
    return rows;
}

/* A search, as the numbers have gaps: retired ones are not used again. */
const struct gr_release_row *gr_release_row(enum gr_release id) {
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].id == id) return &rows[i];
    return NULL;
}

/* False of numbers that no row has: a new release without a row is refused by the door. */
void gr_release_words_of(int id, struct gr_release_words *words) {
    const struct gr_release_row *row =
        id > 0 && id < GR_RELEASES_MAX ? gr_release_row((enum gr_release)id) : NULL;
    if (row) *words = (struct gr_release_words){row->what, row->kind, row->to};
}

bool gr_release_leaves(enum gr_release id, const struct gr_config *config) {
    const struct gr_release_row *row = gr_release_row(id);
    if (!row || (config->secure.aggregation && row->secure == GR_SECURE_REFUSED)) return false;
    if (gr_is_private(config) && row->hidden == GR_PRIVATE_REFUSED) return false;
    return !row->leaves || row->leaves(config);
}

enum gr_release_secure gr_release_secure(enum gr_release id) {
    const struct gr_release_row *row = gr_release_row(id);
    return row ? row->secure : GR_SECURE_REFUSED;
}

const char *gr_release_secure_text(enum gr_release_secure secure) {
    static const char *const text[] = {
        [GR_SECURE_AS_IT_IS] = ("as it is: it follows from config and schema, or tells nothing of "
                                "rows"),
        [GR_SECURE_COMMON] = "not hidden: each process reads the rows of all silos",
        [GR_SECURE_MASKED] = "masked: nobody sees one party's part, only the sum",
        [GR_SECURE_BITS] = "masked: nobody sees one party's part, only whether any has it",
        [GR_SECURE_REFUSED] = "refused: it does not leave"};
    return text[secure];
}

const char *gr_release_private_text(enum gr_release_private hidden) {
    static const char *const text[] = {
        [GR_PRIVATE_AS_IT_IS] = ("as it is: it follows from config, schema or what was noised, or "
                                 "is of no silo's row"),
        [GR_PRIVATE_NOISED] = "noised, and charged to the ledger",
        [GR_PRIVATE_PUBLIC] = "not told: public numbers stand in its place, or zeros",
        [GR_PRIVATE_REFUSED] = "refused: it does not leave"};
    return text[hidden];
}

const char *gr_release_when_text(enum gr_release_when when) {
    static const char *const text[] = {"once, before round 1",      "each round",
                                       "each evaluation",           "each checkpoint",
                                       "where something is wrong",  "each time that all meet",
                                       "once, after the last round"};
    return text[when];
}
