/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between settings: model, train, round. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config/rules.h"

/* Shorter ones would give up ranks that the system merely did not run for a while. */
#define HEARTBEAT_MIN_S 0.1

/* A list that one type of model needs, and no other has. */
static void check_list_of(const struct gr_rule_context *r, const char *path,
                          enum gr_model_type type, unsigned found, unsigned most,
                          const char *what) {
    const enum gr_model_type own = r->config->model.type;
    if (!gr_rule_sound(r, path)) return;
    if (own == type && found == 0)
        REFUSE(r, path, "is required; found nothing, allowed 1 to %u %s (model.type is %s)", most,
               what, gr_model_type_text(own));
    if (own != type && found > 0)
        REFUSE(r, path, "found %u %s, allowed none (model.type is %s)", found, what,
               gr_model_type_text(own));
}

/* Regressions have their own losses; a network takes any. */
static void check_loss(const struct gr_rule_context *r) {
    static const struct {
        enum gr_loss_type losses[2];
        const char *allowed;
    } of[] = {
        [GR_MODEL_SOFTMAX] = {{GR_LOSS_CROSS_ENTROPY}, "default or cross_entropy"},
        [GR_MODEL_LINEAR] = {{GR_LOSS_SQUARED, GR_LOSS_HUBER}, "default, squared or huber"},
        [GR_MODEL_LOGISTIC] = {{GR_LOSS_BINARY_CROSS_ENTROPY}, "default or binary_cross_entropy"},
        [GR_MODEL_POISSON] = {{GR_LOSS_POISSON}, "default or poisson"},
        [GR_MODEL_CNN] = {{0}, NULL},
        [GR_MODEL_BAG] = {{0}, NULL},
    };
    const struct gr_model_config *model = &r->config->model;
    const enum gr_loss_type loss = model->loss;
    if (!gr_rule_sound(r, "model.loss") || loss == GR_LOSS_DEFAULT || !of[model->type].allowed)
        return;
    if (loss != of[model->type].losses[0] && loss != of[model->type].losses[1])
        REFUSE(r, "model.loss", "found %s, allowed %s (model.type is %s)", gr_loss_text(loss),
               of[model->type].allowed, gr_model_type_text(model->type));
}

static void check_model(const struct gr_rule_context *r) {
    const struct gr_model_config *model = &r->config->model;
    if (!gr_rule_sound(r, "model.type")) return;
    if (model->type != GR_MODEL_BAG)
        check_list_of(r, "model.hidden", GR_MODEL_MLP, model->hidden_count, 32, "widths");
    check_list_of(r, "model.layers", GR_MODEL_CNN, model->layers_count, 64, "layers");
    check_loss(r);
    gr_check_layers(model, r->root, r->broken);
}

/* A cosine takes its period from run.rounds where it has none; then the message is about that,
 * which is why its soundness is asked too. */
static void check_schedule(const struct gr_rule_context *r) {
    const struct gr_train_config *train = &r->config->train;
    const struct gr_schedule_config *schedule = &train->schedule;
    if (schedule->minimum > train->learning_rate && gr_rule_sound(r, "train.schedule.minimum") &&
        gr_rule_sound(r, "train.learning_rate"))
        REFUSE(r, "train.schedule.minimum", "found %g, allowed 0 to %g (train.learning_rate)",
               schedule->minimum, train->learning_rate);
    if (schedule->type == GR_SCHEDULE_COSINE && schedule->rounds <= schedule->warmup_rounds &&
        gr_rule_sound(r, "train.schedule.type") && gr_rule_sound(r, "train.schedule.rounds") &&
        gr_rule_sound(r, "train.schedule.warmup_rounds") && gr_rule_sound(r, "run.rounds"))
        REFUSE(r, "train.schedule.rounds",
               "found %u, allowed more than %u (train.schedule.warmup_rounds)", schedule->rounds,
               schedule->warmup_rounds);
}

/* Adam has its own momentum, beta1: a second one would be ignored in silence. */
static void check_optimizer(const struct gr_rule_context *r) {
    const struct gr_train_config *train = &r->config->train;
    const bool adam =
        train->optimizer == GR_OPTIMIZER_ADAM || train->optimizer == GR_OPTIMIZER_ADAMW;
    if (!gr_rule_sound(r, "train.optimizer") || !gr_rule_sound(r, "train.momentum")) return;
    if (adam && train->momentum > 0)
        REFUSE(r, "train.momentum",
               "found %g, allowed only 0, the default, with train.optimizer %s", train->momentum,
               gr_optimizer_text(train->optimizer));
    if (train->optimizer == GR_OPTIMIZER_NESTEROV && !(train->momentum > 0))
        REFUSE(r, "train.momentum", "found 0, allowed 0 < x < 1 with train.optimizer nesterov");
    if (train->state == GR_SOLVER_KEEP && train->optimizer == GR_OPTIMIZER_SGD &&
        !(train->momentum > 0) && gr_rule_sound(r, "train.state"))
        REFUSE(r, "train.state",
               "found keep, allowed only reset, the default, with "
               "train.optimizer sgd and train.momentum 0, which keep nothing");
}

/* A number has no class. */
static void check_class_weights(const struct gr_rule_context *r) {
    if (gr_predicts_number(&r->config->model) &&
        r->config->train.class_weights != GR_CLASS_WEIGHTS_NONE && gr_rule_sound(r, "model.type") &&
        gr_rule_sound(r, "model.loss") && gr_rule_sound(r, "train.class_weights"))
        REFUSE(r, "train.class_weights",
               "found balanced, allowed only none, the default, for a loss of numbers");
}

/* Both at 0 would never end or never begin; both above 0 leave open which holds. */
static void check_train(const struct gr_rule_context *r) {
    const struct gr_train_config *train = &r->config->train;
    check_class_weights(r);
    if ((train->epochs > 0) == (train->steps > 0) && gr_rule_sound(r, "train.epochs") &&
        gr_rule_sound(r, "train.steps"))
        REFUSE(r, train->steps > 0 ? "train.steps" : "train.epochs",
               "found epochs %u and steps %u, allowed exactly one of them above 0", train->epochs,
               train->steps);
    if (r->config->round.participants > r->config->data.silos && r->config->data.silos > 0 &&
        gr_rule_sound(r, "round.participants") && gr_rule_sound(r, "data.silos"))
        REFUSE(r, "round.participants", "found %u, allowed 0 (all) to %u (data.silos)",
               r->config->round.participants, r->config->data.silos);
}

/* The first silo beyond is reported: one line an entry. */
static void check_available(const struct gr_rule_context *r,
                            const struct gr_availability_config *entry, const struct gr_node *node,
                            const char *path) {
    char what[96];
    const uint32_t silos = r->config->data.silos;
    if (entry->to > 0 && entry->to < entry->from && gr_rule_member_sound(node, "from") &&
        gr_rule_member_sound(node, "to")) {
        snprintf(what, sizeof what, "found %u, allowed 0 or at least %u (from)", entry->to,
                 entry->from);
        gr_rule_refuse_member(r, node, path, "to", what);
    }
    for (unsigned i = 0; i < entry->silos_count && silos > 0; i++) {
        if (entry->silos[i] < silos || !gr_rule_sound(r, "data.silos") ||
            !gr_rule_member_sound(node, "silos"))
            continue;
        snprintf(what, sizeof what, "found %u, allowed 0 to %u (data.silos is %u)", entry->silos[i],
                 silos - 1, silos);
        gr_rule_refuse_member(r, node, path, "silos", what);
        break;
    }
}

/* Sampling by size shows how many rows silos have to every rank, which is why the config must say
 * that it may. */
static void check_sampling(const struct gr_rule_context *r) {
    const struct gr_round_config *round = &r->config->round;
    const enum gr_sampling sampling = round->sampling;
    const struct gr_node *list = gr_node_at(r->root, "round.availability"), *node = list->child;
    char path[48];
    if (!gr_rule_sound(r, "round.sampling")) return;
    if (round->participants == 0 && gr_rule_sound(r, "round.participants") &&
        (sampling == GR_SAMPLING_SIZE || sampling == GR_SAMPLING_CYCLIC))
        REFUSE(r, "round.participants", "found 0 (all), allowed at least 1 with round.sampling %s",
               gr_sampling_text(sampling));
    if (sampling == GR_SAMPLING_SIZE && !round->share_sizes &&
        gr_rule_sound(r, "round.share_sizes"))
        REFUSE(r, "round.share_sizes",
               "found false, allowed only true with round.sampling size: every rank learns how "
               "many rows each silo has");
    if ((sampling == GR_SAMPLING_LIST) != (round->availability_count > 0) && !list->broken)
        REFUSE(r, "round.availability", "found %u entries, allowed %s with round.sampling %s",
               round->availability_count, sampling == GR_SAMPLING_LIST ? "1 to 1000" : "none",
               gr_sampling_text(sampling));
    for (unsigned i = 0; i < round->availability_count && node; i++, node = node->next) {
        snprintf(path, sizeof path, "round.availability[%u]", i);
        check_available(r, &round->availability[i], node, path);
    }
}

/* A quorum above the number of silos that are asked could never be met, and every round would be
 * void. */
static void check_round(const struct gr_rule_context *r) {
    const struct gr_round_config *round = &r->config->round;
    if (round->replay[0] && r->config->train.seconds > 0 && gr_rule_sound(r, "round.replay") &&
        gr_rule_sound(r, "train.seconds"))
        REFUSE(r, "round.replay",
               "found a file, allowed none with train.seconds, which no replay can repeat");
    bool sampled = round->participants > 0;
    uint32_t most = sampled ? round->participants : r->config->data.silos;
    if (most > 0 && round->quorum > most && gr_rule_sound(r, "round.quorum") &&
        gr_rule_sound(r, "round.participants") && gr_rule_sound(r, "data.silos"))
        REFUSE(r, "round.quorum", "found %u, allowed 1 to %u (%s)", round->quorum, most,
               sampled ? "round.participants" : "data.silos");
    if (round->heartbeat_s > 0 && round->heartbeat_s < HEARTBEAT_MIN_S &&
        gr_rule_sound(r, "round.heartbeat_s"))
        REFUSE(r, "round.heartbeat_s", "found %g, allowed 0 (none) or at least %g",
               round->heartbeat_s, HEARTBEAT_MIN_S);
}

/* Parameters are float32: a number that is 0 there, though it is none here, does nothing at all. */
static void check_small(const struct gr_rule_context *r) {
    const struct gr_config *c = r->config;
    const struct {
        const char *path;
        double value, least;
    } rules[] = {
        {"train.learning_rate", c->train.learning_rate, FLT_MIN},
        {"train.schedule.minimum", c->train.schedule.minimum, FLT_MIN},
        {"train.weight_decay", c->train.weight_decay, FLT_MIN},
        {"train.proximal_mu", c->train.proximal_mu, FLT_MIN},
        {"train.max_gradient_norm", c->train.max_gradient_norm, FLT_MIN},
        {"train.momentum", c->train.momentum, FLT_MIN},
        {"model.huber_delta", c->model.huber_delta, FLT_MIN},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].value > 0 && rules[i].value < rules[i].least &&
            gr_rule_sound(r, rules[i].path))
            REFUSE(r, rules[i].path, "found %g, which is 0 in float32, allowed at least %.2g",
                   rules[i].value, rules[i].least);
}

/* A momentum that is 1 in float32 forgets nothing. */
static void check_momentum(const struct gr_rule_context *r) {
    const double momentum = r->config->train.momentum;
    if (momentum < 1 && (float)momentum >= 1.0f && gr_rule_sound(r, "train.momentum"))
        REFUSE(r, "train.momentum",
               "found %.17g, allowed at most 0.9999999: float32 holds no more below 1", momentum);
}

/* The least rate above 0 that a schedule comes to: in its first round, or of steps in the last. */
static void check_rates(const struct gr_rule_context *r) {
    const struct gr_train_config *train = &r->config->train;
    const struct gr_schedule_config *schedule = &train->schedule;
    const uint32_t warmup = schedule->warmup_rounds, rounds = r->config->run.rounds;
    if (!gr_rule_sound(r, "train.learning_rate") || !gr_rule_sound(r, "run.rounds") ||
        !gr_rule_sound(r, "train.schedule.type") || train->learning_rate < FLT_MIN)
        return;
    if (warmup > 0 && train->learning_rate / warmup < FLT_MIN &&
        gr_rule_sound(r, "train.schedule.warmup_rounds"))
        REFUSE(r, "train.schedule.warmup_rounds",
               "found %u, by which the learning rate of the first round is 0 in float32", warmup);
    if (schedule->type != GR_SCHEDULE_STEP || rounds <= warmup || schedule->minimum > 0 ||
        !gr_rule_sound(r, "train.schedule.factor") || !gr_rule_sound(r, "train.schedule.every") ||
        !gr_rule_sound(r, "train.schedule.minimum"))
        return;
    const uint32_t falls = (rounds - 1 - warmup) / schedule->every;
    if (train->learning_rate * pow(schedule->factor, falls) < FLT_MIN)
        REFUSE(r, "train.schedule.minimum",
               "found 0, allowed more than 0 where the learning rate falls %u times by %g: in "
               "float32 it is 0 in the end",
               falls, schedule->factor);
}

/* Labels beyond are refused: so there must be as many as the loss is for. */
static void check_classes(const struct gr_rule_context *r) {
    const struct gr_model_config *model = &r->config->model;
    const struct gr_data_config *data = &r->config->data;
    if (model->classes == 0 || !gr_rule_sound(r, "model.classes") ||
        !gr_rule_sound(r, "model.type") || !gr_rule_sound(r, "model.loss"))
        return;
    if (gr_predicts_number(model))
        REFUSE(r, "model.classes", "found %u, allowed only 0, the default, for a loss of numbers",
               model->classes);
    else if (gr_loss_of(model) == GR_LOSS_BINARY_CROSS_ENTROPY && model->classes != 2)
        REFUSE(r, "model.classes", "found %u, allowed 0 or 2 (the loss is binary_cross_entropy)",
               model->classes);
    else if (model->classes < 2)
        REFUSE(r, "model.classes", "found 1, allowed 0 (as many as there are) or at least 2");
    else if (data->source == GR_SOURCE_SYNTHETIC && data->synthetic.n_classes > model->classes &&
             gr_rule_sound(r, "data.synthetic.classes"))
        REFUSE(r, "model.classes", "found %u, allowed at least %u (data.synthetic.classes)",
               model->classes, data->synthetic.n_classes);
}

/* A run is bound to what it starts from by the digest, and not by a path. */
static void check_initial(const struct gr_rule_context *r) {
    const struct gr_model_config *model = &r->config->model;
    unsigned char digest[GR_DIGEST_BYTES];
    char quoted[72];
    if (!gr_rule_sound(r, "model.initial") || !gr_rule_sound(r, "model.initial_digest")) return;
    gr_text_quote(model->initial_digest, strlen(model->initial_digest), quoted, sizeof quoted);
    if (model->initial[0] && !model->initial_digest[0])
        REFUSE(r, "model.initial_digest",
               "found none, allowed with model.initial only the digest that `granary inspect "
               "--digest` prints of it");
    else if (model->initial_digest[0] && !gr_digest_from_hex(model->initial_digest, digest))
        REFUSE(r, "model.initial_digest",
               "found \"%s\", allowed a model's digest, 64 hexadecimal digits (`granary inspect "
               "--digest`)",
               quoted);
}

/* This order is the order of messages. */
void gr_rules_of_training(const struct gr_rule_context *r) {
    check_model(r);
    check_train(r);
    check_schedule(r);
    check_optimizer(r);
    gr_rules_of_strategy(r);
    check_small(r);
    check_momentum(r);
    check_rates(r);
    check_classes(r);
    check_initial(r);
    check_sampling(r);
    check_round(r);
}
