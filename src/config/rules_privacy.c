/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of differential privacy. Its promise is about all that leaves, so a config that lets
 * something else of rows out, or that uses what is not accounted for, is refused before any work.
 */
#include "config/rules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config/privacy_plan.h"
#include "privacy/correlation_matrix.h"
#include "privacy/sensitivity.h"

#define WITH "with privacy.unit"

enum { ROWS_PER_PERSON = 16 }; /* the default */

bool gr_is_private(const struct gr_config *config) {
    return config->privacy.unit != GR_PRIVACY_NONE;
}

/* Settings that nobody would look at without a unit. */
static void check_unused(const struct gr_rule_context *r) {
    const struct gr_privacy_config *privacy = &r->config->privacy;
    const struct {
        const char *path;
        double value;
    } number[] = {{"privacy.clip_norm", privacy->clip_norm},
                  {"privacy.noise_multiplier", privacy->noise_multiplier},
                  {"privacy.expected_batch", privacy->expected_batch},
                  {"privacy.expected_units", privacy->expected_units},
                  {"privacy.adaptive_clipping.quantile", privacy->adaptive_clipping.quantile},
                  {"privacy.evaluation.noise_multiplier", privacy->evaluation.noise_multiplier},
                  {"privacy.evaluation.times", privacy->evaluation.times},
                  {"privacy.statistics.noise_multiplier", privacy->statistics.noise_multiplier},
                  {"privacy.budget.epsilon", privacy->budget.epsilon},
                  {"privacy.correlation.bands", privacy->correlation.bands},
                  {"privacy.budget.delta", privacy->budget.delta}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (number[i].value > 0 && gr_rule_sound(r, number[i].path))
            REFUSE(r, number[i].path, "found %g, allowed only 0, the default, " WITH " none",
                   number[i].value);
}

/* Numbers that have no default, for they are the promise. */
static void check_numbers(const struct gr_rule_context *r) {
    const struct gr_privacy_config *privacy = &r->config->privacy;
    const char *unit = gr_privacy_unit_text(privacy->unit);
    const bool sums = privacy->unit != GR_PRIVACY_SILO;
    const struct {
        const char *path;
        double value, least, most;
        bool asked;
    } number[] = {
        {"privacy.clip_norm", privacy->clip_norm, 1e-6, 1e6, true},
        {"privacy.noise_multiplier", privacy->noise_multiplier, GR_NOISE_MULTIPLIER_MIN, 1000,
         true},
        {"privacy.budget.delta", privacy->budget.delta, GR_PRIVACY_DELTA_MIN, 0.1, true},
        {"privacy.expected_batch", privacy->expected_batch, 1, 1 << 24, sums},
        {"privacy.expected_units", privacy->expected_units, 1, UINT32_MAX, sums},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        if (!gr_rule_sound(r, number[i].path)) continue;
        if (number[i].asked && !(number[i].value >= number[i].least))
            REFUSE(r, number[i].path, "found %g, allowed %g to %g " WITH " %s", number[i].value,
                   number[i].least, number[i].most, unit);
        else if (number[i].asked && number[i].value > number[i].most)
            REFUSE(r, number[i].path, "found %g, allowed %g to %g " WITH " %s", number[i].value,
                   number[i].least, number[i].most, unit);
        if (!number[i].asked && number[i].value > 0)
            REFUSE(r, number[i].path, "found %g, allowed only 0, the default, " WITH " %s",
                   number[i].value, unit);
    }
    if (privacy->budget.on_exhausted == GR_EXHAUSTED_STOP && !(privacy->budget.epsilon > 0) &&
        gr_rule_sound(r, "privacy.budget.on_exhausted") &&
        gr_rule_sound(r, "privacy.budget.epsilon"))
        REFUSE(r, "privacy.budget.on_exhausted",
               "found stop, allowed only refuse, the default, without privacy.budget.epsilon: "
               "there is no limit at which to stop");
    if (sums && privacy->expected_batch > privacy->expected_units &&
        gr_rule_sound(r, "privacy.expected_batch") && gr_rule_sound(r, "privacy.expected_units"))
        REFUSE(r, "privacy.expected_batch", "found %u, allowed up to %u (privacy.expected_units)",
               privacy->expected_batch, privacy->expected_units);
}

/*
 * A round is one step, and a silo's update is a multiple of its sum of clipped gradients, so that
 * the noise of all shares is in the sum over silos just once. What an optimizer makes of a silo's
 * sum would be no multiple of it.
 */
static void check_shared(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const struct gr_privacy_config *privacy = &config->privacy;
    const struct gr_train_config *train = &config->train;
    const double most = 2 * train->learning_rate * privacy->clip_norm;
    const struct {
        const char *path, *allowed;
        bool broken;
    } rule[] = {
        {"privacy.sampling", "only poisson", privacy->sampling != GR_PRIVATE_SAMPLING_POISSON},
        {"privacy.expected_batch", "up to 2048",
         privacy->expected_batch > GR_PRIVATE_SHARED_BATCH_MAX},
        {"train.steps", "only 1, and train.epochs 0", train->steps != 1},
        {"train.optimizer", "only sgd", train->optimizer != GR_OPTIMIZER_SGD},
        {"train.momentum", "only 0", train->momentum > 0},
        {"train.weight_decay", "only 0", train->weight_decay > 0},
        {"train.proximal_mu", "only 0", train->proximal_mu > 0},
        {"train.max_gradient_norm", "only 0", train->max_gradient_norm > 0},
        {"train.schedule.type", "only constant", train->schedule.type != GR_SCHEDULE_CONSTANT},
        {"train.schedule.warmup_rounds", "only 0", train->schedule.warmup_rounds > 0},
        {"aggregation.weight_max", "only 1: silos count alike",
         config->aggregation.weight_max < 1 || config->aggregation.weight_max > 1},
    };
    if (!config->secure.aggregation && gr_rule_sound(r, "privacy.noise"))
        REFUSE(r, "privacy.noise",
               "found shared, allowed only with secure.aggregation true: without masks each "
               "silo's sum is seen with its share of the noise alone");
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++)
        if (rule[i].broken && gr_rule_sound(r, rule[i].path))
            REFUSE(r, rule[i].path, "allowed %s with privacy.noise shared", rule[i].allowed);
    if (config->aggregation.clip_norm < most * (1 - 1e-6) &&
        gr_rule_sound(r, "aggregation.clip_norm") && gr_rule_sound(r, "privacy.clip_norm"))
        REFUSE(r, "aggregation.clip_norm",
               "found %g, allowed at least %g (2 train.learning_rate times privacy.clip_norm) with "
               "privacy.noise shared: it is to bound a whole step of a silo",
               config->aggregation.clip_norm, most);
}

/* Ways of noise and sampling that have no accounting, or no protection. */
static void check_mechanism(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const struct gr_privacy_config *privacy = &config->privacy;
    const bool silo = privacy->unit == GR_PRIVACY_SILO;
    const char *unit = gr_privacy_unit_text(privacy->unit);
    if (!silo && privacy->noise == GR_NOISE_ROOT && gr_rule_sound(r, "privacy.noise"))
        REFUSE(r, "privacy.noise", "found root, allowed silo or shared " WITH " %s", unit);
    if (!silo && privacy->noise == GR_NOISE_SHARED) check_shared(r);
    if (privacy->adjacency == GR_NEIGHBOURS_REPLACE && !silo &&
        privacy->sampling == GR_PRIVATE_SAMPLING_POISSON && gr_rule_sound(r, "privacy.adjacency") &&
        gr_rule_sound(r, "privacy.sampling"))
        REFUSE(r, "privacy.adjacency",
               "found replace, allowed add_remove or zero_out with privacy.sampling poisson: no "
               "pair of distributions is proven to be the worst one");
    if (!silo && config->model.compute != GR_COMPUTE_FLOAT32 && gr_rule_sound(r, "model.compute"))
        REFUSE(r, "model.compute",
               "found %s, allowed only float32 " WITH
               " %s: a gradient whose factors are rounded once more may be longer than the clip",
               gr_compute_text(config->model.compute), unit);
    if (!silo && config->train.batch_size != privacy->expected_batch &&
        privacy->expected_batch > 0 && gr_rule_sound(r, "train.batch_size") &&
        gr_rule_sound(r, "privacy.expected_batch"))
        REFUSE(r, "train.batch_size", "found %u, allowed only %u (privacy.expected_batch)",
               config->train.batch_size, privacy->expected_batch);
    if (!silo && privacy->expected_units > 0 &&
        privacy->budget.delta * privacy->expected_units > 1 &&
        gr_rule_sound(r, "privacy.budget.delta") && gr_rule_sound(r, "privacy.expected_units"))
        REFUSE(r, "privacy.budget.delta",
               "found %g, allowed up to 1 / privacy.expected_units, which is %g: a delta above "
               "it permits that one of them is told as it is",
               privacy->budget.delta, 1.0 / privacy->expected_units);
}

/* How often a unit is in steps has to be known, and how far apart, for noise that hangs together.
 */
static void check_correlation(const struct gr_rule_context *r) {
    const struct gr_privacy_config *privacy = &r->config->privacy;
    const uint32_t bands = privacy->correlation.bands;
    const char *type = "privacy.correlation.type", *path = "privacy.correlation.bands";
    const bool blt = privacy->correlation.type == GR_CORRELATED_BLT;
    const char *word = blt ? "blt" : "banded";
    if (privacy->correlation.type == GR_CORRELATED_NONE) {
        if (bands > 0 && gr_rule_sound(r, path))
            REFUSE(r, path,
                   "found %u, allowed only 0, the default, with privacy.correlation.type none",
                   bands);
        return;
    }
    if ((privacy->sampling != GR_PRIVATE_SAMPLING_FIXED || privacy->unit == GR_PRIVACY_SILO) &&
        gr_rule_sound(r, type) && gr_rule_sound(r, "privacy.sampling"))
        REFUSE(r, type,
               "found %s, allowed only none but with privacy.sampling fixed, of rows or persons",
               word);
    const uint32_t least = blt ? 1 : 2,
                   most = blt ? GR_CORRELATION_BUFFERS_MAX : GR_CORRELATION_BANDS_MAX;
    if ((bands < least || bands > most) && gr_rule_sound(r, path))
        REFUSE(r, path, "found %u, allowed %u to %u with privacy.correlation.type %s", bands, least,
               most, word);
}

/* Persons are named by a column, and each is to be in one silo. */
static void check_persons(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const struct gr_data_config *data = &config->data;
    if (config->privacy.unit != GR_PRIVACY_PERSON) {
        if (config->privacy.rows_per_person != ROWS_PER_PERSON &&
            gr_rule_sound(r, "privacy.rows_per_person"))
            REFUSE(r, "privacy.rows_per_person",
                   "found %u, allowed only %d, the default, " WITH " %s",
                   config->privacy.rows_per_person, ROWS_PER_PERSON,
                   gr_privacy_unit_text(config->privacy.unit));
        return;
    }
    if (data->source != GR_SOURCE_CSV && data->source != GR_SOURCE_HDF5) {
        if (gr_rule_sound(r, "data.source"))
            REFUSE(
                r, "privacy.unit",
                "found person, allowed only with data.source csv or hdf5: a column of type group "
                "names the person of each row");
    } else if (data->silo_tables_count == 0 && data->silos > 1 &&
               data->partition.method != GR_PARTITION_COLUMN &&
               gr_rule_sound(r, "data.partition.method") && gr_rule_sound(r, "data.silos")) {
        REFUSE(r, "data.partition.method",
               "found %s, allowed only column " WITH " person, or data.silo_tables: rows of one "
               "person would be dealt to several silos",
               gr_partition_text(data->partition.method));
    }
}

/* What is told of a table is charged to a ledger in a folder of its silo's own. Between sites each
 * knows its own folders alone: see gr_site_find. */
static void check_folders(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const bool charges = config->privacy.unit == GR_PRIVACY_SILO || !config->run.rehearsal;
    if (gr_has_sites(config) || !charges || !gr_rule_sound(r, "silos")) return;
    for (unsigned i = 0; i < config->data.silo_tables_count; i++) {
        char path[40];
        if (i < config->silos_count && config->silos[i].directory[0]) continue;
        snprintf(path, sizeof path, "silos[%u].directory", i);
        gr_broken_add(r->broken, gr_rule_place(r, "silos"), path,
                      "found nothing, allowed a folder of the silo's own, for its ledger, " WITH
                      " %s",
                      gr_privacy_unit_text(config->privacy.unit));
        return;
    }
}

/* Settings that would let something of rows out beside the noised sums. */
static void check_told(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const struct gr_strategy *strategy = gr_strategy_find(config->strategy.name);
    const char *unscored = config->privacy.unit != GR_PRIVACY_SILO
                               ? "scores of rows that silos hold out are noised only where "
                                 "privacy.evaluation.noise_multiplier says how much"
                               : "scores of rows that silos hold out are made for privacy.unit "
                                 "row and person; data.test is a table that is nobody's";
    const bool noised = config->privacy.evaluation.noise_multiplier > 0;
    const struct {
        const char *path, *found, *why;
        bool broken;
    } rule[] = {
        {"data.validation_fraction", NULL, unscored,
         !noised && config->data.validation_fraction > 0},
        {"data.test_fraction", NULL, unscored, !noised && config->data.test_fraction > 0},
        {"evaluate.per_silo", "true", "a silo's scores are of its rows", config->evaluate.per_silo},
        {"evaluate.operating_points", "some", "they are chosen on rows that silos hold out",
         config->evaluate.operating_points_count > 0},
        {"evaluate.slices", "some", "counts of each group would need noise of their own",
         config->evaluate.slices_count > 0},
        {"evaluate.bootstrap.replicates", NULL,
         "each replicate is a sum over rows, which would need noise and budget of its own",
         config->evaluate.bootstrap.replicates > 0},
        {"evaluate.recalibration", gr_recalibration_text(config->evaluate.recalibration),
         "it is found on rows that silos hold out",
         config->evaluate.recalibration != GR_RECALIBRATION_NONE},
        {"evaluate.conformal.alpha", NULL, "the bound of its sets is one row's score",
         config->evaluate.conformal.alpha > 0},
        {"policy.extremes", "true", "a least value is that of one row", config->policy.extremes},
        {"round.sampling", "size", "rows of a silo are not told",
         config->round.sampling == GR_SAMPLING_SIZE},
        {"train.class_weights", "balanced", "rows of a class are counted for it",
         config->train.class_weights != GR_CLASS_WEIGHTS_NONE},
        {"round.respawn", "true", "a process that takes another's place has no ledger",
         config->round.respawn},
        {"train.seconds", NULL, "how many steps fit in a time depends on rows",
         config->train.seconds > 0},
        {"strategy.name", config->strategy.name,
         "it takes one step along the gradient of all rows, without noise",
         strategy && strategy->full_gradient},
    };
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++) {
        if (!rule[i].broken || !gr_rule_sound(r, rule[i].path)) continue;
        REFUSE(r, rule[i].path, "found %s, not allowed " WITH " %s: %s",
               rule[i].found ? rule[i].found : "a number above 0",
               gr_privacy_unit_text(config->privacy.unit), rule[i].why);
    }
}

double gr_privacy_count_noise(const struct gr_config *config) {
    const struct gr_adaptive_clipping_config *clipping = &config->privacy.adaptive_clipping;
    const uint32_t drawn = config->round.participants;
    if (!(clipping->quantile > 0)) return 0;
    return clipping->count_noise > 0 ? clipping->count_noise
                                     : (drawn > 0 ? drawn : config->data.silos) / 20.0;
}

/*
 * A silo moves the count, of plus and minus one half each, by one half: with noise of its own the
 * count has a noise multiplier of twice that. The squares of what both tell add up (Andrew et al.
 * 2021, theorem 1).
 */
double gr_privacy_update_noise(const struct gr_config *config) {
    const double all = config->privacy.noise_multiplier, count = 2 * gr_privacy_count_noise(config);
    return count > 0 ? 1 / sqrt(1 / (all * all) - 1 / (count * count)) : all;
}

static void check_adaptive(const struct gr_rule_context *r) {
    const struct gr_privacy_config *privacy = &r->config->privacy;
    const double count = gr_privacy_count_noise(r->config);
    if (privacy->adaptive_clipping.count_noise > 0 && !(count > 0) &&
        gr_rule_sound(r, "privacy.adaptive_clipping.count_noise"))
        REFUSE(r, "privacy.adaptive_clipping.count_noise",
               "found %g, allowed only 0, the default, without privacy.adaptive_clipping.quantile: "
               "the clip norm stays",
               privacy->adaptive_clipping.count_noise);
    if (count > 0 && !(2 * count > 1.001 * privacy->noise_multiplier) &&
        gr_rule_sound(r, "privacy.adaptive_clipping.count_noise") &&
        gr_rule_sound(r, "privacy.noise_multiplier"))
        REFUSE(
            r, "privacy.adaptive_clipping.count_noise",
            "found %g, allowed only more than half of privacy.noise_multiplier, which is %g: the "
            "count alone would tell as much as was promised",
            count, privacy->noise_multiplier / 2);
}

/* Rows that are held out tell of themselves a few times, with noise, and how often is known before
 * the first round. */
static void check_evaluation(const struct gr_rule_context *r) {
    static const char noise[] = "privacy.evaluation.noise_multiplier",
                      times[] = "privacy.evaluation.times";
    const struct gr_config *config = r->config;
    const struct gr_noised_evaluation_config *evaluation = &config->privacy.evaluation;
    const double z = evaluation->noise_multiplier;
    if (!gr_rule_sound(r, noise) || !gr_rule_sound(r, times)) return;
    const unsigned long long due = gr_privacy_evaluations(config, config->run.rounds, true);
    if (!(z > 0)) {
        if (evaluation->times > 0)
            REFUSE(r, times, "found %u, allowed only 0 without %s", evaluation->times, noise);
    } else if (config->privacy.unit == GR_PRIVACY_SILO)
        REFUSE(r, noise, "found %g, allowed only 0 " WITH " silo: it is made for rows and persons",
               z);
    else if (z < GR_NOISE_MULTIPLIER_MIN || z > 1000)
        REFUSE(r, noise, "found %g, allowed 0 or %g to 1000", z, GR_NOISE_MULTIPLIER_MIN);
    else if (!(config->data.validation_fraction > 0) && !(config->data.test_fraction > 0))
        REFUSE(r, noise,
               "found %g, allowed only 0 without data.validation_fraction and "
               "data.test_fraction: no row is held out to be scored",
               z);
    else if (due == 0 && gr_rule_sound(r, "evaluate.every"))
        REFUSE(r, "evaluate.every", "found 0, allowed at least 1 with %s above 0", noise);
    else if (due > evaluation->times && gr_rule_sound(r, "evaluate.every") &&
             gr_rule_sound(r, "run.rounds"))
        REFUSE(r, times,
               "found %u, allowed at least %llu: run.rounds is %u and evaluate.every %u, which "
               "makes so many evaluations",
               evaluation->times, due, config->run.rounds, config->evaluate.every);
}

/* Ranges bound what a row adds; columns have them, and other rows have no columns. */
static void check_statistics(const struct gr_rule_context *r) {
    static const char noise[] = "privacy.statistics.noise_multiplier";
    const struct gr_config *config = r->config;
    const enum gr_data_source source = config->data.source;
    const double z = config->privacy.statistics.noise_multiplier;
    if (!(z > 0) || !gr_rule_sound(r, noise)) return;
    if (config->privacy.unit == GR_PRIVACY_SILO)
        REFUSE(r, noise, "found %g, allowed only 0 " WITH " silo: it is made for rows and persons",
               z);
    else if (z < GR_NOISE_MULTIPLIER_MIN || z > 1000)
        REFUSE(r, noise, "found %g, allowed 0 or %g to 1000", z, GR_NOISE_MULTIPLIER_MIN);
    else if (source != GR_SOURCE_CSV && source != GR_SOURCE_HDF5 && gr_rule_sound(r, "data.source"))
        REFUSE(r, noise,
               "found %g, allowed only 0 with data.source %s: statistics are of columns with a "
               "range in data.schema",
               z, source == GR_SOURCE_IDX ? "idx" : "synthetic");
}

/* Whoever adds noise to sums of silos' updates must be believed to. */
static void check_place(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const enum gr_noise_place place = config->privacy.noise;
    if (!gr_rule_sound(r, "privacy.noise")) return;
    if (place == GR_NOISE_SILO)
        REFUSE(r, "privacy.noise", "found silo, allowed shared or root " WITH " silo");
    else if (place == GR_NOISE_SHARED && !config->secure.aggregation)
        REFUSE(r, "privacy.noise",
               "found shared, allowed only with secure.aggregation true: without masks each "
               "silo's update is seen with its share of the noise alone");
    else if (place == GR_NOISE_ROOT && gr_has_sites(config))
        REFUSE(r, "privacy.noise",
               "found root, allowed only shared between sites: the coordinator would have sums "
               "without noise");
}

/* A silo adds to a sum what clip_norm allows, and that exactly: its weight is 1, and the grid
 * bounds its integers. */
static void check_silo(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const struct gr_privacy_config *privacy = &config->privacy;
    const double clip = config->aggregation.clip_norm, weight = config->aggregation.weight_max;
    check_place(r);
    check_adaptive(r);
    if (privacy->adjacency == GR_NEIGHBOURS_ADD_REMOVE && gr_rule_sound(r, "privacy.adjacency"))
        REFUSE(r, "privacy.adjacency",
               "found add_remove, allowed zero_out or replace " WITH
               " silo: everybody knows which silos take part");
    if (config->aggregation.grid != GR_GRID_PUBLIC) {
        if (gr_rule_sound(r, "aggregation.grid"))
            REFUSE(r, "aggregation.grid",
                   "found agreed, allowed only public " WITH
                   " silo: an agreed grid tells of single updates");
        return;
    }
    if ((clip < privacy->clip_norm || clip > privacy->clip_norm) &&
        gr_rule_sound(r, "aggregation.clip_norm") && gr_rule_sound(r, "privacy.clip_norm"))
        REFUSE(r, "aggregation.clip_norm", "found %g, allowed only %g (privacy.clip_norm)", clip,
               privacy->clip_norm);
    if ((weight < 1 || weight > 1) && gr_rule_sound(r, "aggregation.weight_max"))
        REFUSE(r, "aggregation.weight_max",
               "found %g, allowed only 1 " WITH " silo, where silos count alike", weight);
}

void gr_rules_of_privacy(const struct gr_rule_context *r) {
    if (!gr_rule_sound(r, "privacy.unit")) return;
    check_persons(r);
    if (r->config->privacy.unit == GR_PRIVACY_NONE) {
        check_unused(r);
        return;
    }
    check_numbers(r);
    check_folders(r);
    check_mechanism(r);
    check_correlation(r);
    check_told(r);
    check_evaluation(r);
    check_statistics(r);
    gr_rules_of_declared(r, WITH " other than none");
    if (r->config->privacy.unit == GR_PRIVACY_SILO)
        check_silo(r);
    else if (r->config->privacy.adaptive_clipping.quantile > 0 &&
             gr_rule_sound(r, "privacy.adaptive_clipping.quantile"))
        REFUSE(r, "privacy.adaptive_clipping.quantile",
               "found %g, allowed only 0, the default, without privacy.unit silo",
               r->config->privacy.adaptive_clipping.quantile);
}

gr_status gr_privacy_remark(const struct gr_config *config, char **out) {
    struct gr_schema *schema = NULL;
    gr_status status;
    char name[64];
    *out = NULL;
    if (config->privacy.unit != GR_PRIVACY_ROW || !config->data.schema[0]) return GR_OK;
    GR_TRY(gr_schema_load(config->data.schema, &schema));
    for (unsigned i = 0; i < schema->columns_count && !*out; i++) {
        const struct gr_column *c = &schema->columns[i];
        if (c->type != GR_COLUMN_GROUP) continue;
        gr_text_quote(c->name, strlen(c->name), name, sizeof name);
        GR_TRY(gr_text_format(out,
                              "privacy.unit row: if column %u (%s) names persons, one with k rows "
                              "is protected k times less; unit person hides all her rows",
                              i + 1, name));
    }
out:
    gr_schema_free(schema);
    return status;
}
