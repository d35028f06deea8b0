/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strategy: federated optimizers. A strategy says what a silo sends and keeps, what is made of all
 * updates, and how the model moves by it. It is pure: it calls no MPI, and never sees a row. Every
 * rank takes the same step on its own copy of the model.
 *
 * A strategy is one `struct gr_strategy`, named gr_strategy_NAME, in a file
 * src/strategy/strategy_*.c, where the Makefile finds it, or comes from a program that calls
 * gr_strategy_register. It brings its settings, which are then keys of the config's section
 * `strategy`, and the rules that it has for others.
 *
 * Interface: stable.
 */
#ifndef GRANARY_STRATEGY_H
#define GRANARY_STRATEGY_H

#include <granary/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    GR_STRATEGIES_MAX = 32,        /* registered in all */
    GR_STRATEGY_SETTINGS_MAX = 24, /* of all of them */
    GR_STRATEGY_OWN_MAX = 8,       /* settings, or rules, of one */
    GR_STRATEGY_SENT_MAX = 2,      /* vectors that a silo sends */
    GR_STRATEGY_KEPT_MAX = 2,      /* vectors that a silo keeps */
    GR_STRATEGY_SERVER_MAX = 2,    /* vectors that the server keeps */
    GR_STRATEGY_NAME_BYTES = 32,
};

/* A number in the config's section `strategy`. Strategies that share one share its definition. */
struct gr_strategy_setting {
    const char *name;     /* of the key, e.g. "server_learning_rate" */
    const char *standard; /* default, as a config shows it, e.g. "0.9" */
    double low, high;     /* allowed from low to high */
    bool above, below;    /* low itself, high itself is not allowed */
    bool narrow;          /* taken as float32: not 0, nor where `below` is set high, only there */
    double least;         /* narrow ones apart: smaller ones above 0 do nothing; 0: none */
};

/* The section `strategy` of a config. */
struct gr_strategy_config {
    char *name;                               /* of a strategy; default fedavg */
    double setting[GR_STRATEGY_SETTINGS_MAX]; /* by gr_strategy_setting_index */
};

/* A rule for a setting of another section. */
struct gr_strategy_rule {
    const char *path;    /* e.g. "train.momentum" */
    const char *allowed; /* a number: at most this; a word: only this; NULL: more than 0 */
};

/* A silo's part in a round. Vectors have n floats. */
struct gr_silo_part {
    const struct gr_strategy_config *config;
    size_t n;
    uint64_t steps;       /* that its solver took; 0 before training */
    double learning_rate; /* of the round */
    const float *const *server;
    float *const *kept; /* n_kept: from the silo's last round, zeros before its first; changed in
                           place, and kept if the round is taken */
    float *const *sent; /* n_sent: sent[0] is the update, trained minus global */
};

/* The server's step over a range of n elements; other elements must not matter to it. */
struct gr_server_step {
    size_t n;
    float *parameters;                       /* moved in place */
    const float *mean[GR_STRATEGY_SENT_MAX]; /* of what silos sent, or combine's in mean[0] */
    float *server[GR_STRATEGY_SERVER_MAX];   /* changed in place */
    double share;                            /* silos in the round / silos of the federation */
    double steps;                            /* sends_steps: weighted mean of local steps */
};

struct gr_strategy {
    const char *name;   /* as in strategy.name: lower case, digits, "_" */
    const char *source; /* paper, equation */
    const struct gr_strategy_setting
        *setting[GR_STRATEGY_OWN_MAX];                 /* that it uses; NULL: no more */
    struct gr_strategy_rule rule[GR_STRATEGY_OWN_MAX]; /* path NULL: no more */
    bool full_gradient; /* a silo takes one step along its whole gradient: FedSGD */
    bool alike;         /* silos count alike, whatever rows they have */
    bool sends_steps;   /* the mean of local steps is added up with the updates */
    size_t n_sent;      /* vectors of a silo in the sum; 0: the update alone */
    size_t n_kept;      /* vectors that a silo keeps from round to round */
    const char *kept_name[GR_STRATEGY_KEPT_MAX];
    size_t n_server;
    const char *server_name[GR_STRATEGY_SERVER_MAX];
    /* kept[0], as `prepare` leaves it, is added to the gradient in each step of the solver. */
    bool corrects;
    /* In a silo before it trains, sent is of no use; and after, to fill what it sends and keeps.
     * NULL: nothing is to be done. */
    void (*prepare)(const struct gr_silo_part *part);
    void (*conclude)(const struct gr_silo_part *part);
    /*
     * NULL: mean[] are weighted means, by sums. Else mean[0] is what this makes of the updates side
     * by side: row[0 .. n_rows - 1] are n floats each, those of the lowest silo's number first; out
     * receives n floats, each of its own coordinate of the rows alone. work: n_rows *
     * GR_COMBINE_WIDTH floats of any content. context: the gr_strategy_config.
     */
    void (*combine)(const void *context, const float *const *row, size_t n_rows, size_t n,
                    float *work, float *out);
    /*
     * The breakdown point of `combine`, as a count (Donoho, Huber 1983): however wrong so many of n
     * updates are, the result stays among the values of the others. NULL: no claim is made.
     */
    uint32_t (*breakdown)(const struct gr_strategy_config *config, uint32_t n);
    /* Writes the server's vectors before round 1; NULL: zeros. server[i]: n floats. */
    void (*start)(const struct gr_strategy_config *config, float *const *server, size_t n);
    void (*step)(const struct gr_strategy_config *config, const struct gr_server_step *step);
};

enum { GR_COMBINE_WIDTH = 64 };

/* All of what follows: not collective. */

/* Not collective, but called in every process of a run before a config names the strategy, which
 * is borrowed for good. GR_ERROR_USAGE: its name is taken or malformed, it lacks `step`, or a
 * setting of that name is defined otherwise. */
gr_status gr_strategy_register(const struct gr_strategy *strategy) GR_CHECKED;
/* Not collective. NULL: there is none of this name. */
const struct gr_strategy *gr_strategy_find(const char *name);
/* Not collective. The i-th, in the order in which they became known; NULL behind the last. */
const struct gr_strategy *gr_strategy_at(size_t i);

/* Not collective. The i-th setting of all strategies, i being its place in gr_strategy_config;
 * NULL behind the last. */
const struct gr_strategy_setting *gr_strategy_setting_at(size_t i);
/* Not collective. The place of a setting; GR_STRATEGY_SETTINGS_MAX: there is none of this name. */
size_t gr_strategy_setting_index(const char *name);
/* Not collective. A strategy's setting; 0 where there is none of this name. */
double gr_strategy_get(const struct gr_strategy_config *config, const char *name);
/* Not collective. For configs that are made by hand. Does nothing where there is no setting of
 * this name. */
void gr_strategy_set(struct gr_strategy_config *config, const char *name, double value);

#ifdef __cplusplus
}
#endif
#endif
