/* SPDX-License-Identifier: Apache-2.0 */
/*
 * private_canaries: training runs with half of the canaries in, and scores by which they are told
 * from those that are out. Scores may use all that an adversary knows who knows every row and draw
 * but the canaries': so the sums of the other rows are taken off.
 */
#include "train/private_audit.h"
#include "train/private_steps.h"

#include <data/rows.h>
#include <granary/train.h>
#include <privacy/accounting.h>
#include <privacy/secret_draw.h>

#include <math.h>
#include <string.h>

/* Noise so small that a sum is as good as exact. */
#define QUIET 1e-6
/* Fewer say nothing at a usual confidence. */
enum { CANARIES_MIN = 10 };

/* Fair coins of the operating system. */
static void toss(bool *in, size_t n) {
    unsigned char bytes[GR_SECRET_BYTES];
    for (size_t i = 0; i < n; i++) {
        if (i % (8 * sizeof bytes) == 0) gr_secret_make(bytes);
        in[i] = bytes[i / 8 % sizeof bytes] >> (i % 8) & 1;
    }
}

static void tell_bound(const char *name, const struct gr_canary_bound *bound,
                       const struct gr_private_question *question, struct gr_private_audit *out) {
    gr_private_tell(
        out, name, bound->epsilon <= question->epsilon,
        "epsilon is at least %.4f with confidence %g: of %zu canaries %zu were guessed, "
        "%zu of them right; the accountant says at most %.4f",
        bound->epsilon, question->confidence, bound->guesses.canaries, bound->guesses.guessed,
        bound->guesses.right, question->epsilon);
}

/* ---- gradients of their own ----------------------------------------------------------------- */

struct planted {
    const struct gr_private_question *question;
    size_t n, size;
    struct gr_private_steps *loud, *quiet; /* owned, as all that follows */
    bool *in;
    size_t *place;   /* of each canary in the layout */
    size_t *present; /* of those that are in */
    double *score;
    float *parameters, *with, *without;
};

/* Parameters at random, each of one canary. */
static gr_status choose_places(struct planted *planted) {
    const struct gr_layout *layout = gr_model_layout(planted->question->model);
    size_t *all = NULL, n = 0;
    uint64_t seed;
    unsigned char secret[GR_SECRET_BYTES];
    gsl_rng *stream = NULL;
    gr_status status;
    GR_TRY(gr_allocate(layout->n_parameters, sizeof *all, "an audit", &all));
    for (size_t t = 0; t < layout->n_tensors; t++)
        for (size_t i = 0; i < layout->tensors[t].n_elements; i++)
            all[n++] = layout->tensors[t].offset + i;
    gr_secret_make(secret);
    memcpy(&seed, secret, sizeof seed);
    GR_TRY(gr_stream_create((struct gr_stream_key){.seed = seed}, &stream));
    for (size_t i = 0; i < planted->n; i++) {
        const size_t other = i + gsl_rng_uniform_int(stream, (unsigned long)(n - i)),
                     place = all[other];
        all[other] = all[i];
        planted->place[i] = place;
    }
out:
    gsl_rng_free(stream);
    gr_free(all);
    return status;
}

static gr_status create_planted(struct planted *planted) {
    const struct gr_private_question *question = planted->question;
    const size_t n = planted->n, size = planted->size;
    struct gr_privacy_config quiet = *question->privacy;
    gr_status status;
    quiet.noise_multiplier = QUIET;
    GR_TRY(gr_private_steps_create(question->privacy, question->model, &planted->loud));
    GR_TRY(gr_private_steps_create(&quiet, question->model, &planted->quiet));
    GR_TRY(gr_allocate_zero(n, sizeof *planted->in, "an audit", &planted->in));
    GR_TRY(gr_allocate_zero(n, sizeof *planted->place, "an audit", &planted->place));
    GR_TRY(gr_allocate_zero(n, sizeof *planted->present, "an audit", &planted->present));
    GR_TRY(gr_allocate_zero(n, sizeof *planted->score, "an audit", &planted->score));
    GR_TRY(gr_allocate(size, sizeof(float), "an audit", &planted->parameters));
    GR_TRY(gr_allocate(size, sizeof(float), "an audit", &planted->with));
    GR_TRY(gr_allocate(size, sizeof(float), "an audit", &planted->without));
    memcpy(planted->parameters, question->parameters, size * sizeof(float));
    toss(planted->in, n);
    status = choose_places(planted);
out:
    return status;
}

static void release_planted(struct planted *planted) {
    gr_private_steps_free(planted->loud);
    gr_private_steps_free(planted->quiet);
    gr_free(planted->in);
    gr_free(planted->place);
    gr_free(planted->present);
    gr_free(planted->score);
    gr_free(planted->parameters);
    gr_free(planted->with);
    gr_free(planted->without);
}

/* A step of the training, and how much likelier it is, for each canary, with it than without. */
static gr_status step_planted(struct planted *planted, double rate) {
    const struct gr_private_question *question = planted->question;
    const struct gr_privacy_config *config = question->privacy;
    const double scale = config->expected_batch / config->clip_norm;
    gr_status status;
    GR_TRY(gr_private_steps_gradient(planted->loud, planted->parameters, question->rows, NULL, NULL,
                                     planted->with));
    GR_TRY(gr_private_steps_gradient(planted->quiet, planted->parameters, question->rows, NULL,
                                     NULL, planted->without));
    for (size_t i = 0; i < planted->n; i++) {
        const size_t at = planted->place[i];
        const double x = scale * ((double)planted->with[at] - (double)planted->without[at]);
        planted->score[i] += gr_sampled_loss(config->noise_multiplier, question->sampling, x);
    }
    for (size_t i = 0; i < planted->size; i++)
        planted->parameters[i] -= (float)rate * planted->with[i];
out:
    return status;
}

static gr_status train_planted(struct planted *planted) {
    const struct gr_private_question *question = planted->question;
    gr_status status = GR_OK;
    uint32_t n = 0;
    for (size_t i = 0; i < planted->n; i++)
        if (planted->in[i]) planted->present[n++] = planted->place[i];
    gr_private_steps_plant(planted->loud, planted->present, n);
    for (uint32_t round = 1; round <= question->rounds; round++) {
        unsigned char secret[GR_SECRET_BYTES];
        gr_secret_make(secret);
        gr_private_steps_start(planted->loud, secret);
        gr_private_steps_start(planted->quiet, secret);
        for (uint64_t s = 0; s < question->sums; s++)
            GR_TRY(step_planted(planted, gr_learning_rate(question->train, round)));
    }
out:
    return status;
}

gr_status gr_private_try_gradients(const struct gr_private_question *question,
                                   struct gr_private_audit *out) {
    const struct gr_layout *layout = gr_model_layout(question->model);
    struct planted planted = {.question = question, .size = layout->size};
    gr_status status;
    planted.n =
        question->canaries < layout->n_parameters ? question->canaries : layout->n_parameters;
    GR_TRY(create_planted(&planted));
    GR_TRY(train_planted(&planted));
    GR_TRY(gr_canary_bound(planted.score, planted.in, planted.n, question->privacy->budget.delta,
                           question->confidence, &out->gradients));
    tell_bound("gradient canaries", &out->gradients, question, out);
out:
    release_planted(&planted);
    return status;
}

/* ---- rows with a wrong answer --------------------------------------------------------------- */

struct mislabelled {
    const struct gr_private_question *question;
    size_t n;             /* canaries: the table's last rows */
    struct gr_rows wrong; /* all of them; owned, as all that follows */
    struct gr_silo silo;  /* the other rows, and behind them the canaries that are in */
    bool *in;
    double *score;
    float *parameters, *update;
};

static void copy_row(struct gr_rows *to, size_t place, const struct gr_rows *from, size_t row) {
    const size_t bytes = gr_rows_bytes(from);
    memcpy((char *)to->features + place * bytes, (const char *)from->features + row * bytes, bytes);
    to->labels[place] = from->labels[row];
    if (from->targets) to->targets[place] = from->targets[row];
    if (from->weights) to->weights[place] = from->weights[row];
    if (from->offsets) to->offsets[place] = from->offsets[row];
}

/* Another class, or the next canary's target. */
static void mislead(struct mislabelled *m, size_t first) {
    const struct gr_rows *rows = m->question->rows;
    const int32_t classes = (int32_t)gr_model_classes(m->question->model);
    for (size_t i = 0; i < m->n; i++) {
        copy_row(&m->wrong, i, rows, first + i);
        if (rows->targets)
            m->wrong.targets[i] = rows->targets[first + (i + 1) % m->n];
        else if (classes > 1)
            m->wrong.labels[i] =
                (m->wrong.labels[i] + 1 + (int32_t)(i % (size_t)(classes - 1))) % classes;
    }
}

static gr_status create_mislabelled(struct mislabelled *m) {
    const struct gr_rows *rows = m->question->rows;
    const size_t first = rows->n_rows - m->n, size = gr_model_layout(m->question->model)->size;
    size_t n = first;
    gr_status status;
    GR_TRY(gr_rows_create_like(m->n, rows, &m->wrong));
    GR_TRY(gr_rows_create_like(rows->n_rows, rows, &m->silo.train));
    GR_TRY(gr_allocate_zero(m->n, sizeof *m->in, "an audit", &m->in));
    GR_TRY(gr_allocate_zero(m->n, sizeof *m->score, "an audit", &m->score));
    GR_TRY(gr_allocate(size, sizeof(float), "an audit", &m->parameters));
    GR_TRY(gr_allocate(size, sizeof(float), "an audit", &m->update));
    memcpy(m->parameters, m->question->parameters, size * sizeof(float));
    strcpy(m->silo.pseudonym, "audit");
    mislead(m, first);
    toss(m->in, m->n);
    for (size_t i = 0; i < first; i++)
        copy_row(&m->silo.train, i, rows, i);
    for (size_t i = 0; i < m->n; i++)
        if (m->in[i]) copy_row(&m->silo.train, n++, &m->wrong, i);
    m->silo.train.n_rows = n;
out:
    return status;
}

static void release_mislabelled(struct mislabelled *m) {
    gr_rows_release(&m->wrong);
    gr_rows_release(&m->silo.train);
    gr_free(m->in);
    gr_free(m->score);
    gr_free(m->parameters);
    gr_free(m->update);
}

/* Adds each canary's loss to its score, times the sign. */
static gr_status add_losses(struct mislabelled *m, double sign) {
    struct gr_model *model = m->question->model;
    gr_status status = GR_OK;
    for (size_t i = 0; i < m->n; i++) {
        double loss;
        size_t correct;
        gr_rows_gather(&m->wrong, NULL, i, 1, gr_model_batch_features(model),
                       gr_model_batch_labels(model), gr_model_batch_targets(model));
        gr_rows_gather_terms(&m->wrong, NULL, i, 1, gr_model_batch_weights(model),
                             gr_model_batch_offsets(model));
        GR_TRY(gr_model_score(model, m->parameters, 1, &loss, &correct));
        m->score[i] += sign * loss;
    }
out:
    return status;
}

/* All rounds of one silo, with the trainer of a run. Whether each had the steps accounted for. */
static gr_status train_mislabelled(struct mislabelled *m, bool *exact) {
    const struct gr_private_question *question = m->question;
    const size_t size = gr_model_layout(question->model)->size;
    struct gr_train_config train = *question->train;
    struct gr_trainer *trainer = NULL;
    gr_status status;
    train.batch_size = GR_CLIP_ROWS_MAX;
    train.state = GR_SOLVER_RESET;
    *exact = true;
    GR_TRY(gr_trainer_create(&train, question->seed, question->model, &trainer));
    GR_TRY(gr_trainer_make_private(trainer, question->privacy));
    for (uint32_t round = 1; round <= question->rounds; round++) {
        unsigned char secret[GR_SECRET_BYTES];
        struct gr_train_result result;
        gr_secret_make(secret);
        gr_trainer_keep_secret(trainer, secret);
        GR_TRY(gr_train_silo_privately(trainer, &m->silo, round, m->parameters, m->update, NULL,
                                       NULL, &result));
        *exact = *exact && result.steps == question->sums && result.weight == 1 &&
                 result.examples == question->privacy->expected_units && result.processed == 0;
        for (size_t i = 0; i < size; i++)
            m->parameters[i] += m->update[i];
    }
out:
    gr_trainer_free(trainer);
    return status;
}

gr_status gr_private_try_rows(const struct gr_private_question *question,
                              struct gr_private_audit *out) {
    struct mislabelled m = {.question = question};
    const size_t half = question->rows->n_rows / 2;
    bool exact;
    gr_status status = GR_OK;
    m.n = question->canaries < half ? question->canaries : half;
    if (m.n < CANARIES_MIN) {
        gr_private_tell(out, "mislabelled rows", true, "not tried: half of the rows are %zu", half);
        return status;
    }
    GR_TRY(create_mislabelled(&m));
    GR_TRY(add_losses(&m, 1));
    GR_TRY(train_mislabelled(&m, &exact));
    GR_TRY(add_losses(&m, -1));
    GR_TRY(gr_canary_bound(m.score, m.in, m.n, question->privacy->budget.delta,
                           question->confidence, &out->rows));
    tell_bound("mislabelled rows", &out->rows, question, out);
    gr_private_tell(out, "numbers", exact,
                    "rounds of %zu rows %s the steps, units and weight that are public",
                    m.silo.train.n_rows, exact ? "tell just" : "tell other than");
out:
    release_mislabelled(&m);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

gr_status gr_private_audit(const struct gr_private_question *question,
                           struct gr_private_audit *out) {
    gr_status status;
    *out = (struct gr_private_audit){0};
    GR_TRY(gr_private_try_gradients(question, out));
    GR_TRY(gr_private_try_rows(question, out));
    GR_TRY(gr_private_check_noise(question, out));
    GR_TRY(gr_private_check_rows(question, out));
    status = gr_private_check_rounding(question, out);
out:
    return status;
}
