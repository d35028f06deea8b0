/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a federation, shared by the files of this room. */
#ifndef GRANARY_FEDERATION_PARTS_H
#define GRANARY_FEDERATION_PARTS_H

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

struct gr_federation {
    struct gr_comm *comm;           /* borrowed */
    const struct gr_config *config; /* borrowed */
    const struct gr_strategy *strategy;
    struct gr_data *data;
    struct gr_model *model;
    struct gr_trainer *trainer;
    struct gr_aggregator *aggregator;
    const struct gr_layout *layout; /* the model's */
    char *architecture;
    int32_t *host_of;           /* slot of each silo */
    int64_t *sizes;             /* rows of each silo; NULL but for sampling by size */
    int64_t *categories;        /* of each feature that is a code; NULL: none is looked up */
    int64_t *class_counts;      /* train rows of each class; NULL: classes weigh the same */
    uint32_t n_unusable;        /* silos that could not be loaded, over all ranks */
    int share_rank, share_size; /* for which the test table was dealt */
    struct gr_replay *replay;
    uint8_t *struck; /* rehearsed faults that have been; faults_count flags */

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
    uint32_t scored_round;
    /* What has been counted in scored_round by this rank, and in total_round by all; of the silos'
     * scores, by id, those that may become known, and then what is withheld; NULL: none may. */
    struct gr_tally *tally, *total;
    struct gr_score *silo_scores, *silo_total;
    struct gr_silo_metrics *silo_metrics, *silo_metrics_total; /* likewise, with the AUC */
    struct gr_tally *silo_tally;                               /* of one silo at a time */
    double *silo_room;                                         /* a number for each silo */
    uint32_t total_round;
    uint8_t *selected; /* by the draw from all silos; n_silos flags */
    uint8_t *asked;    /* in this round, as this rank sees it: those that are there */
    uint8_t *lost, *late, *returned;
    struct gr_roster roster;
    uint64_t weight; /* of the sum */
    double update_norm;
    uint32_t recoveries;
    double started_s, trained_s, aggregated_s;
    uint64_t bytes_sent;               /* up to the last round */
    struct gr_run_data run_data;       /* of all silos' rows */
    struct gr_found *found;            /* in each column, over all silos; as the run began */
    struct gr_passed_over passed_over; /* in some file of some silo; likewise */
    unsigned char columns_digest[GR_DIGEST_BYTES]; /* of what the tables name; 0: they name none */
};

static inline uint32_t gr_count_flags(const uint8_t *flags, uint32_t n) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += flags[i] != 0;
    return sum;
}

/* ---- columns.c ------------------------------------------------------------------------------- */

/* Collective. Refuses tables whose columns are not those of the others, by column and pseudonym. */
gr_status gr_federation_check_columns(struct gr_federation *f) GR_CHECKED;
/* Fails as loading that silo did, with its pseudonym in the place of its table's path. */
gr_status gr_federation_tell_unusable(const struct gr_federation *f,
                                      const struct gr_silo *silo) GR_CHECKED;
/* Collective. What was found in the silos' columns, added up. */
gr_status gr_federation_sum_found(struct gr_federation *f) GR_CHECKED;

/* ---- fit.c, preprocess.c --------------------------------------------------------------------- */

/* Collective. What preprocessing has learnt, as text; released with gr_free. */
gr_status gr_federation_fit(struct gr_federation *f, char **text) GR_CHECKED;
/*
 * Collective. Rows as read become rows of features, where the config or the tables' columns ask for
 * it: by the fit given, the same text on all ranks, or NULL, one that is made now.
 */
gr_status gr_federation_preprocess(struct gr_federation *f, const char *given) GR_CHECKED;
/* Collective: of members and newcomers alike. Only a newcomer can find that its data do not fit. */
gr_status gr_federation_share_preprocessing(struct gr_federation *f, bool newcomer) GR_CHECKED;

/* ---- inputs.c -------------------------------------------------------------------------------- */

/* Collective. Which features are codes of categories, where the model is to look them up. */
gr_status gr_inputs_find_codes(struct gr_federation *f) GR_CHECKED;
/* The model of the config for rows of this kind, into f->model. */
gr_status gr_inputs_create_model(struct gr_federation *f, size_t batch_max) GR_CHECKED;
/* Silos of this rank whose tables hold what the model cannot look up become unusable.
 * GR_ERROR_DATA: test rows do, or a table that silos share. */
gr_status gr_inputs_check(struct gr_federation *f) GR_CHECKED;
/* Collective. How many silos have no rows, over all ranks, into f->n_unusable; GR_ERROR_DATA: all.
 */
gr_status gr_inputs_count_unusable(struct gr_federation *f) GR_CHECKED;
/* Collective. Where classes are to weigh differently, their rows over all silos. */
gr_status gr_inputs_count_classes(struct gr_federation *f) GR_CHECKED;
/* How many classes are counted. */
size_t gr_inputs_classes(const struct gr_federation *f);
/* By what is counted, or was when the run began. */
gr_status gr_inputs_weigh_classes(struct gr_federation *f) GR_CHECKED;
/* Collective. Rank 0's to newcomers. */
gr_status gr_inputs_share(struct gr_federation *f) GR_CHECKED;

/* ---- rehearsal.c ----------------------------------------------------------------------------- */

/* Strikes with the faults of the config that are due at this point, if this rank hosts the silo. */
void gr_rehearse(struct gr_federation *f, uint32_t round, enum gr_fault_point point);
/* Whether a silo's update is to be spoilt, and how; update: n floats. */
void gr_rehearse_update(struct gr_federation *f, uint32_t round, uint32_t silo, float *update,
                        size_t n, float *largest);
/* Whether this rank is to damage the checkpoint of a round. */
bool gr_rehearse_corruption(struct gr_federation *f, uint32_t round);

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

/*
 * Collective. Counts anew, for gr_federation_evaluation, where the outcome is not the last round's
 * model: of that one, with the AUC.
 */
gr_status gr_evaluate_outcome(struct gr_federation *f) GR_CHECKED;

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

/* ---- newcomers: federation.c ----------------------------------------------------------------- */

/* Collective, in lockstep: the members welcome, a newcomer joins; all end with the same state. */
gr_status gr_federation_welcome(struct gr_federation *f) GR_CHECKED;
gr_status gr_federation_join(struct gr_comm *comm, const struct gr_config *config,
                             struct gr_federation **out) GR_CHECKED;

/* ---- round.c --------------------------------------------------------------------------------- */

/* What the ranks add up at the end of a round, in integers. */
struct round_sums {
    int64_t processed, cpu_microseconds, bytes, loss[GR_REAL_WORDS];
    struct gr_score validation, test;
};

/* Collective. Rank 0's state to all. */
gr_status gr_federation_share_state(struct gr_federation *f) GR_CHECKED;

#endif
