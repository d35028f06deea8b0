/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a federation, shared by the files of this room. */
#ifndef GRANARY_FEDERATION_INTERNAL_H
#define GRANARY_FEDERATION_INTERNAL_H

#include <granary/cohort.h>
#include <granary/data.h>
#include <granary/evaluate.h>
#include <granary/federation.h>
#include <granary/model.h>
#include <granary/train.h>

/* What a silo keeps from round to round: kept.c. */
struct gr_kept {
    float *vector[GR_SILO_VECTORS_MAX]; /* n_kept of layout size floats; owned; NULL: none */
    uint64_t steps;                     /* of its optimizer */
    uint32_t rounds;                    /* that the silo had taken part in then */
    bool stored;                        /* on disk; */
    bool fresh;                         /* for a checkpoint that is not there yet */
};

/*
 * The best model up to the round before, and what the evaluation of this round says. The two are
 * brought together when the round is over on all ranks: until then it may be evaluated again, on
 * fewer of them.
 */
struct best {
    float *parameters; /* NULL: the config does not ask for it */
    uint32_t round;    /* 0: none yet */
    double value;      /* of the metric */
    bool improved;     /* this round's model is better */
    double newest;     /* by this value */
};

/* Held-out rows that the scores of a round lack. */
struct unscored {
    uint8_t *own;       /* this rank's silos, as of scored_round, by id; n_silos flags; owned */
    int64_t test_place; /* of this rank's bad row of the test table */
    /* Over all ranks: */
    uint32_t round; /* of which */
    uint8_t *all;   /* n_silos flags; owned */
    int64_t *room;  /* n_silos; owned */
    int64_t place;
    bool silos, test, diverged;
    bool replaced; /* the test table is not the one that the run began with */
};

/* What a silo's own terminal has been told already. */
enum { GR_HEARD_SITTING = 1, GR_HEARD_UNSCORED = 2 };

struct gr_federation {
    struct gr_comm *comm;           /* borrowed */
    const struct gr_config *config; /* borrowed */
    struct gr_cohort *cohort;       /* owned */
    uint8_t *heard;                 /* bits of each silo; n_silos; owned */
    const struct gr_strategy *strategy;
    struct gr_data *data; /* the cohort's */
    struct gr_model *model;
    struct gr_trainer *trainer;
    struct gr_aggregator *aggregator;
    const struct gr_layout *layout; /* the model's */
    const char *run_id;             /* borrowed; NULL: there is no run */
    char *architecture;
    struct gr_replay *replay;

    float *parameters; /* the global model, the same on every rank */
    float *server[GR_SERVER_VECTORS_MAX];
    struct best best;
    uint32_t *silo_rounds; /* rounds each silo took part in, the same on every rank */
    uint32_t rounds_done;

    /* Of one round. Updates are made when first needed: as many as silos of this rank train in one
     * round, for the grid of the sum is not known before all have trained. */
    float **update; /* data->n_local pointers */
    struct gr_contribution *contribution;
    size_t n_contributions;
    /* Where silos keep something, else n_kept is 0, and all is NULL; data->n_local each. */
    size_t n_kept; /* vectors of a silo */
    const char *kept_name[GR_SILO_VECTORS_MAX];
    struct gr_kept *kept;
    struct gr_kept *next;             /* of each contribution; kept once the round is committed */
    size_t *next_of;                  /* of each contribution: its silo's place in data->local */
    struct gr_solver solver;          /* of the silo that trains */
    uint32_t *local_ids;              /* of this rank's silos, ascending */
    uint8_t *anew;                    /* in a replay: silos that are to begin anew; n_silos flags */
    struct round_sums *sums, *scored; /* of the round; scores as of scored_round */
    struct round_sums *total_sums;    /* over all ranks, complete once the round is scored */
    struct unscored unscored;
    uint32_t scored_round;
    /* What has been counted in scored_round by this rank, and in total_round by all; of the silos'
     * scores, by id, those that may become known, and then what is withheld; NULL: none may. */
    struct gr_accumulator *accumulator, *total;
    bool scores_withheld; /* of the rows that silos hold out: by policy.minimum_silos */
    struct gr_score *silo_scores, *silo_total;
    struct gr_silo_metrics *silo_metrics, *silo_metrics_total; /* likewise, with the AUC */
    struct gr_accumulator *silo_accumulator;                   /* of one silo at a time */
    double *silo_room;                                         /* a number for each silo */
    uint32_t total_round;
    uint8_t *selected; /* by the draw from all silos; n_silos flags */
    uint8_t *asked;    /* in this round, as this rank sees it: those that are there */
    uint8_t *lost, *late, *returned;
    struct gr_roster roster;
    uint64_t examples; /* rows of the silos in the sum */
    double update_norm;
    uint32_t recoveries;
    double started_s, trained_s, aggregated_s;
    uint64_t bytes_sent; /* up to the last round */
};

static inline uint32_t gr_count_flags(const uint8_t *flags, uint32_t n) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += flags[i] != 0;
    return sum;
}

/* ---- model_inputs.c -------------------------------------------------------------------------- */

/* Not collective, as all of these. The model of the config for the cohort's rows, into f->model. */
gr_status gr_inputs_create_model(struct gr_federation *f, size_t batch_max) GR_CHECKED;
/* Silos of this rank whose tables hold what the model cannot look up become unusable.
 * GR_ERROR_DATA: test rows do, or a table that silos share. */
gr_status gr_inputs_check(struct gr_federation *f) GR_CHECKED;
/* The model takes weights and offsets, where rows have them. */
gr_status gr_inputs_use_terms(struct gr_federation *f) GR_CHECKED;
/* The model weighs classes by the rows that are counted, or were when the run began. */
gr_status gr_inputs_weigh_classes(struct gr_federation *f) GR_CHECKED;

/* ---- kept.c ---------------------------------------------------------------------------------- */

gr_status gr_kept_create(struct gr_federation *f) GR_CHECKED;
void gr_kept_free(struct gr_federation *f);
/* Before data->local[local] trains: what its optimizer goes on from. */
gr_status gr_kept_begin(struct gr_federation *f, size_t local) GR_CHECKED;
/* What the next contribution, of data->local[local], brings beside its update; and whether that
 * silo begins anew, into the roster. */
void gr_kept_offer(struct gr_federation *f, size_t local, uint32_t round,
                   struct gr_contribution *contribution);
/* The round is taken, silo_rounds counts it: what training and sum have left is what is kept. */
void gr_kept_commit(struct gr_federation *f);
/* This rank's silos' into files of theirs, those that have changed. Errors: GR_ERROR_WRITE. */
gr_status gr_kept_write(struct gr_federation *f, const char *dir,
                        const unsigned char origin[GR_DIGEST_BYTES]) GR_CHECKED;
/* There is no checkpoint that goes with them: those just written go, for the newest are counted. */
void gr_kept_take_back(struct gr_federation *f, const char *dir);
/* Once the checkpoint that goes with them is there: older ones than the newest `keep` go. */
void gr_kept_settle(struct gr_federation *f, const char *dir, uint32_t keep);
/* As they were at the checkpoint that has been read; those that are not there are void. */
gr_status gr_kept_read(struct gr_federation *f, const char *dir,
                       const unsigned char origin[GR_DIGEST_BYTES]) GR_CHECKED;
/* What a rank may have to write. */
double gr_kept_bytes(const struct gr_federation *f);

/* ---- evaluation.c ---------------------------------------------------------------------------- */

/* Collective. The model on test and validation rows, and all sums of the round, into metrics. */
gr_status gr_round_evaluate(struct gr_federation *f, struct gr_metrics *metrics) GR_CHECKED;

/* Not collective. Before metrics are written down: those of silos' own rows get policy.digits. */
void gr_round_disclose(const struct gr_federation *f, struct gr_metrics *metrics);

/*
 * Collective. Counts anew, for gr_federation_evaluation, where the outcome is not the last round's
 * model: of that one, with the AUC.
 */
gr_status gr_evaluate_outcome(struct gr_federation *f) GR_CHECKED;

/* ---- unscored.c ------------------------------------------------------------------------------ */

/* Before rows are scored. */
void gr_unscored_begin(struct gr_federation *f);
/* A silo's rows could not be scored: GR_ERROR_DATA, with its message, was about `rows` of its. */
gr_status gr_unscored_silo(struct gr_federation *f, const float *parameters,
                           const struct gr_silo *silo, const struct gr_rows *rows,
                           struct round_sums *sums) GR_CHECKED;
/* This rank's share of the test table could not be scored, or be read anew. */
gr_status gr_unscored_test(struct gr_federation *f, const float *parameters,
                           struct round_sums *sums) GR_CHECKED;
void gr_unscored_table(struct gr_federation *f, struct round_sums *sums);
/* Collective. sums: over all ranks. */
gr_status gr_unscored_share(struct gr_federation *f, const struct round_sums *sums) GR_CHECKED;
/* Why there are no scores, out of a fixed list; NULL: for no reason of these. */
const char *gr_unscored_why(const struct gr_federation *f, bool of_test);
/* What helps against updates and scores that are not finite: "a smaller train.learning_rate ...".
 */
enum { GR_REMEDIES_BYTES = 384 };
void gr_federation_remedies(const struct gr_federation *f, char out[GR_REMEDIES_BYTES]);

/* ---- best.c ---------------------------------------------------------------------------------- */

gr_status gr_best_create(struct gr_federation *f) GR_CHECKED;
/* What this round's metrics say; may be said again. */
void gr_best_judge(struct gr_federation *f, const struct gr_metrics *metrics);
/* The round is over. */
void gr_best_keep(struct gr_federation *f);
/* Collective. Rank 0's to all. */
gr_status gr_best_share(struct gr_federation *f) GR_CHECKED;
/* Adds the best model to the state. */
void gr_best_state(struct gr_federation *f, struct gr_state *out);
/* The round of the best model, this one's included. */
uint32_t gr_best_round(const struct gr_federation *f);

/* ---- respawned: federation.c ----------------------------------------------------------------- */

/* Collective, in lockstep: the members welcome, a respawned rank joins; all end with the same
 * state. */
gr_status gr_federation_welcome(struct gr_federation *f) GR_CHECKED;
gr_status gr_federation_join(struct gr_cohort *cohort, struct gr_federation **out) GR_CHECKED;

/* ---- round.c --------------------------------------------------------------------------------- */

/* What the ranks add up at the end of a round, in integers. */
struct round_sums {
    int64_t processed, cpu_microseconds, bytes;
    int64_t loss[GR_REAL_WORDS], weight[GR_REAL_WORDS]; /* of the processed rows */
    /* Silos whose held-out rows cannot be scored, and ranks whose share of the test table cannot;
     * of what can be scored how many silos, batches or rows. */
    int64_t unscored, unscored_test, scored;
    int64_t test_digest[GR_DIGEST_WORDS]; /* of the test rows scored */
    struct gr_score validation, test;
};

/* Collective. Rank 0's state to all. */
gr_status gr_federation_share_state(struct gr_federation *f) GR_CHECKED;

#endif
