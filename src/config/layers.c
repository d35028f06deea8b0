/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of model.layers: what each type of layer needs and has no use for, and their order. */
#include "config/check.h"

#include <stdio.h>
#include <string.h>

/* The keys beside `type`, as bits. */
enum {
    FILTERS = 1,
    WIDTH = 2,
    KERNEL = 4,
    STRIDE = 8,
    PADDING = 16,
    ACTIVATION = 32,
    GROUPS = 64,
    RATE = 128
};

struct rule {
    unsigned needs, takes; /* keys that must, keys that may be given */
};

static const struct rule rules[] = {
    [GR_LAYER_CONV] = {FILTERS | KERNEL, STRIDE | PADDING | ACTIVATION},
    [GR_LAYER_MAX_POOL] = {KERNEL, STRIDE},
    [GR_LAYER_AVERAGE_POOL] = {KERNEL, STRIDE},
    [GR_LAYER_GROUP_NORM] = {GROUPS, ACTIVATION},
    [GR_LAYER_DROPOUT] = {RATE, 0},
    [GR_LAYER_DENSE] = {WIDTH, ACTIVATION},
};

/* One entry of the list. */
struct entry {
    const struct gr_layer_config *layer;
    const struct gr_node *node;
    struct gr_broken *broken;
    unsigned index;
};

static bool entry_sound(const struct entry *e, const char *key) {
    const struct gr_node *child = gr_node_child(e->node, key, strlen(key));
    return child && !child->broken;
}

static void refuse(const struct entry *e, const char *key, const char *found, const char *allowed) {
    char path[64];
    const struct gr_node *child = gr_node_child(e->node, key, strlen(key));
    const bool given = child->place.line > 0 || child->place.override;
    snprintf(path, sizeof path, "model.layers[%u].%s", e->index, key);
    gr_broken_add(e->broken, given ? child->place : e->node->place, path,
                  "found %s, allowed %s (type is %s)", found, allowed,
                  gr_layer_type_text(e->layer->type));
}

static void check_keys(const struct entry *e) {
    const struct gr_layer_config *l = e->layer;
    const struct rule *rule = &rules[l->type];
    const struct {
        const char *key;
        unsigned bit;
        bool given;
    } keys[] = {
        {"filters", FILTERS, l->filters > 0},
        {"width", WIDTH, l->width > 0},
        {"kernel", KERNEL, l->kernel > 0},
        {"stride", STRIDE, l->stride > 0},
        {"padding", PADDING, l->padding != GR_PADDING_VALID},
        {"activation", ACTIVATION, l->activation != GR_ACTIVATION_DEFAULT},
        {"groups", GROUPS, l->groups > 0},
        {"rate", RATE, l->rate > 0},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!entry_sound(e, keys[i].key)) continue;
        if (keys[i].given && !((rule->needs | rule->takes) & keys[i].bit))
            refuse(e, keys[i].key, "a value", "none");
        if (!keys[i].given && rule->needs & keys[i].bit)
            refuse(e, keys[i].key, "nothing", "more than 0");
    }
}

static bool is_of_images(enum gr_layer_type type) {
    return type != GR_LAYER_DENSE && type != GR_LAYER_DROPOUT;
}

void gr_check_layers(const struct gr_model_config *model, struct gr_node *root,
                     struct gr_broken *broken) {
    const struct gr_node *node = gr_node_at(root, "model.layers");
    bool dense = false;
    if (!node) return;
    node = node->child;
    for (unsigned i = 0; i < model->layers_count && node; i++, node = node->next) {
        const struct entry e = {&model->layers[i], node, broken, i};
        if (node->broken || !entry_sound(&e, "type")) continue;
        check_keys(&e);
        if (dense && is_of_images(e.layer->type))
            refuse(&e, "type", "a layer of images behind a dense one", "dense or dropout");
        dense = dense || e.layer->type == GR_LAYER_DENSE;
    }
}
