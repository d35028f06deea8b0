/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate.bootstrap: how far the metrics of the final model would be from what they are on other
 * rows like these (or in other silos like these). Once for the last round's model and for the best
 * round's, not for each evaluation: an interval is asked of the model that is handed on, and
 * replicates of every round would be as many more releases of the same rows.
 *
 * What is told to whom. Replicates are sums of rows times draws. With draws that others know they
 * are a linear system: as many replicates as rows, and each row's label and score follow.
 * Therefore:
 *
 * - A silo with a folder of its own (silos[].directory, as every site of a study has) draws by a
 *   secret of the operating system's, anew for each model that is scored, and kept nowhere. To
 *   whoever does not know it the replicates of rows by kind are independent Poisson numbers whose
 *   means are the counts of rows of each kind: they could have been drawn from these counts, which
 *   leave with the scores (GR_RELEASE_SCORES: the bins of both classes are 256 times as fine), and
 *   so they tell nothing more. That is why losses are rounded to a coarse grid, at random and by
 *   the same secret (metric/replicates.h): sums of exact losses would tell single ones, by lattice
 *   reduction, where rows are few. One secret for two models would tell how often rows of a kind
 *   under the one are of a kind under the other, hence a new one.
 * - All other silos, simulated ones and tables that a single account reads, draw by run.seed, so
 *   that a run has the same bytes on any number of ranks, and two runs of one seed the same draws
 *   for the same rows: their differences are then paired.
 * - Secure sums: replicates are masked as all scores are. The total is opened, and the above holds
 *   of it.
 * - Differential privacy: refused, as each replicate would need noise, and budget, of its own.
 * - unit silo: of five silos one replicate in thirty holds a single one, whose counts would leave
 *   as they are. It is refused where silos have tables of their own.
 *
 * What is told in evaluation.json is told by the rules of the metric itself: a metric that is
 * withheld has no interval; beside one in steps ends and deviation are in steps, as the square of a
 * deviation would tell how many rows are wrong. Of single silos intervals are found where the rows
 * are, and leave with their other scores, or not.
 *
 * A repetition after a loss is of the same secrets: it tells of a lost silo what its counts do.
 */
#include <math.h>
#include <string.h>

#include "federation/internal.h"
#include "metric/replicates.h"

struct gr_bootstrap {
    struct gr_replicates *replicates; /* owned, as all that follows */
    struct gr_replicate_rows *parts;  /* of rows that were scored, as they lie in the accumulator */
    size_t n_parts, room;
    bool due;   /* the rows that are scored are of a final model */
    bool known; /* `told` is of the present total */
    struct gr_bootstrap_told told;
    struct gr_resampled_metric metrics[GR_METRICS_MAX];
    size_t n_silos; /* with evaluate.per_silo: of this rank, and of all; else 0 */
    struct gr_silo_spread *silos, *silos_total;
};

/* Rows of the same secret. */
enum { TEST_TABLE, VALIDATION_ROWS, TEST_ROWS };

/* The same on all ranks. */
static gr_status check_size(const struct gr_federation *f) {
    const uint32_t n = f->config->evaluate.bootstrap.replicates;
    const size_t classes = gr_model_classes(f->model), bytes = gr_replicates_bytes(classes, n);
    const size_t least = gr_replicates_bytes(classes, GR_REPLICATES_MIN);
    if (bytes <= GR_REPLICATES_BYTES_MAX) return GR_OK;
    if (least > GR_REPLICATES_BYTES_MAX)
        return gr_fail(GR_ERROR_CONFIG,
                       "evaluate.bootstrap.replicates: found %u, allowed 0 with more than %d "
                       "classes",
                       n, GR_CONFUSION_CLASSES_MAX);
    return gr_fail(GR_ERROR_CONFIG,
                   "evaluate.bootstrap.replicates: found %u, allowed at most %zu with %zu classes: "
                   "their sums take %zu MiB, at most %zu",
                   n, GR_REPLICATES_BYTES_MAX / (least / GR_REPLICATES_MIN), classes, bytes >> 20,
                   GR_REPLICATES_BYTES_MAX >> 20);
}

gr_status gr_bootstrap_create(const struct gr_federation *f, struct gr_bootstrap **out) {
    const struct gr_evaluate_config *config = &f->config->evaluate;
    struct gr_bootstrap *b = NULL;
    gr_status status = GR_OK;
    *out = NULL;
    if (config->bootstrap.replicates == 0) return GR_OK;
    GR_TRY(check_size(f));
    GR_TRY(gr_allocate_zero(1, sizeof *b, "a bootstrap", &b));
    GR_TRY(gr_replicates_create(gr_model_classes(f->model), config->bootstrap.replicates,
                                &b->replicates));
    b->told = (struct gr_bootstrap_told){.replicates = config->bootstrap.replicates,
                                         .unit = gr_resampled_text(config->bootstrap.unit),
                                         .seed = f->config->run.seed,
                                         .metrics = b->metrics};
    if (config->per_silo) {
        b->n_silos = f->config->data.silos;
        GR_TRY(gr_allocate_zero(b->n_silos, sizeof *b->silos, "silos' intervals", &b->silos));
        GR_TRY(gr_allocate_zero(b->n_silos, sizeof *b->silos_total, "silos' intervals",
                                &b->silos_total));
        b->told.of_silos = b->silos_total;
    }
    *out = b;
    b = NULL;
out:
    gr_bootstrap_free(b);
    return status;
}

void gr_bootstrap_free(struct gr_bootstrap *b) {
    if (!b) return;
    gr_free(b->silos_total);
    gr_free(b->silos);
    gr_free(b->parts);
    gr_replicates_free(b->replicates);
    gr_free(b);
}

void gr_bootstrap_set_due(struct gr_bootstrap *b, bool due) {
    if (b) b->due = due;
}

void gr_bootstrap_clear(struct gr_bootstrap *b) {
    if (!b) return;
    b->n_parts = 0;
    b->known = false;
    if (b->silos) memset(b->silos, 0, b->n_silos * sizeof *b->silos);
}

void gr_bootstrap_forget(struct gr_bootstrap *b) {
    if (b) b->known = false;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static gr_status make_part(struct gr_bootstrap *b, struct gr_replicate_rows part) {
    struct gr_replicate_rows *grown;
    if (b->n_parts == b->room) {
        const size_t room = b->room ? 2 * b->room : 64;
        gr_status status = gr_allocate(room, sizeof *grown, "a bootstrap", &grown);
        if (status != GR_OK) return status;
        if (b->n_parts > 0) memcpy(grown, b->parts, b->n_parts * sizeof *grown);
        gr_free(b->parts);
        b->parts = grown;
        b->room = room;
    }
    b->parts[b->n_parts++] = part;
    return GR_OK;
}

/* A silo with a folder of its own has a secret, which is of one model. */
static void take_secret(const struct gr_federation *f, const struct gr_silo *silo,
                        unsigned char secret[GR_SECRET_BYTES]) {
    const struct gr_config *config = f->config;
    const bool own = silo->id < config->silos_count && config->silos[silo->id].directory[0];
    if (own && !config->run.rehearsal)
        gr_secret_make(secret);
    else
        gr_secret_rehearse(config->run.seed, silo->stream, 0, secret);
}

/* n rows of it. */
static struct gr_replicate_rows rows_of_silo(const struct gr_federation *f,
                                             const struct gr_silo *silo, bool of_test, size_t n) {
    struct gr_replicate_rows part = {.n = n,
                                     .together =
                                         f->config->evaluate.bootstrap.unit == GR_RESAMPLED_SILO,
                                     .stream = of_test ? TEST_ROWS : VALIDATION_ROWS};
    take_secret(f, silo, part.secret);
    return part;
}

gr_status gr_bootstrap_note_silo(struct gr_federation *f, struct gr_bootstrap *b,
                                 const struct gr_silo *silo, bool of_test,
                                 const struct gr_accumulator *rows, size_t n) {
    const size_t kept = gr_accumulator_kept(rows);
    if (!b || !b->due || n == 0 || kept < n) return GR_OK;
    struct gr_replicate_rows part = rows_of_silo(f, silo, of_test, n);
    part.first = kept - n;
    return make_part(b, part);
}

gr_status gr_bootstrap_note_test(struct gr_federation *f, struct gr_bootstrap *b,
                                 const struct gr_accumulator *rows) {
    const size_t n = f->data->test.n_rows, kept = gr_accumulator_kept(rows);
    gr_status status = GR_OK;
    struct gr_replicate_rows part = {.stream = TEST_TABLE};
    if (!b || !b->due || kept < n) return GR_OK;
    gr_secret_rehearse(f->config->run.seed, 0, 0, part.secret);
    for (size_t done = 0, i = 0; done < n; done += part.n, i++) {
        part.first = kept - n + done;
        part.n = n - done < GR_TEST_BATCH ? n - done : GR_TEST_BATCH;
        part.number = (uint64_t)f->data->local_batch[i] * GR_TEST_BATCH;
        GR_TRY(make_part(b, part));
    }
out:
    return status;
}

/* Rows are resampled, whatever `unit` is: of a single silo there is nothing else to draw. */
gr_status gr_bootstrap_silo(struct gr_federation *f, struct gr_bootstrap *b,
                            const struct gr_silo *silo, const struct gr_accumulator *rows) {
    struct gr_resampled_metric metrics[GR_METRICS_MAX];
    gr_status status = GR_OK;
    if (!b || !b->due || !b->silos) return GR_OK;
    struct gr_replicate_rows part = rows_of_silo(f, silo, false, gr_accumulator_kept(rows));
    part.together = false;
    gr_replicates_lay(b->replicates, rows);
    GR_TRY(gr_replicates_add(b->replicates, rows, &part));
    gr_replicates_spread(b->replicates, metrics);
    for (unsigned m = 0; m < gr_metric_count; m++)
        metrics[m] = gr_resampled_told(rows, m, metrics[m]);
    gr_silo_spread_take(metrics, &b->silos[silo->id]);
out:
    return status;
}

/* ---- sums --------------------------------------------------------------------------------------
 */

gr_status gr_bootstrap_find(struct gr_federation *f, struct gr_bootstrap *b,
                            const struct gr_accumulator *own, const struct gr_accumulator *total) {
    struct gr_door *door = gr_cohort_door(f->cohort);
    int64_t silos = 0, *sums;
    gr_status status = GR_OK;
    size_t n;
    if (!b || !b->due) return GR_OK;
    gr_replicates_lay(b->replicates, total);
    for (size_t i = 0; i < b->n_parts && status == GR_OK; i++) {
        status = gr_replicates_add(b->replicates, own, &b->parts[i]);
        silos += b->parts[i].together;
    }
    GR_TRY(gr_comm_agree(f->comm, status));
    sums = gr_replicates_sums(b->replicates, &n);
    GR_TRY(gr_release_sum(door, GR_RELEASE_BOOTSTRAP, sums, n));
    if (f->config->evaluate.bootstrap.unit == GR_RESAMPLED_SILO)
        GR_TRY(gr_release_sum(door, GR_RELEASE_BOOTSTRAP, &silos, 1));
    b->told.silos = (uint32_t)silos;
    gr_replicates_spread(b->replicates, b->metrics);
    b->known = true;
out:
    return status;
}

gr_status gr_bootstrap_add_silos(struct gr_federation *f, struct gr_bootstrap *b,
                                 const struct gr_score *told) {
    if (!b || !b->due || !b->silos) return GR_OK;
    memcpy(b->silos_total, b->silos, b->n_silos * sizeof *b->silos);
    for (size_t i = 0; i < b->n_silos; i++)
        if (told[i].examples == 0) memset(&b->silos_total[i], 0, sizeof *b->silos_total);
    return gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SILO_SCORES,
                          (int64_t *)b->silos_total,
                          b->n_silos * sizeof *b->silos_total / sizeof(int64_t));
}

const struct gr_bootstrap_told *gr_bootstrap_told(const struct gr_bootstrap *b) {
    return b && b->known ? &b->told : NULL;
}
