/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of model.layers: the keys that each type of layer needs or has no use for, and the
 * layers' order; and of the vectors that are looked up before them. Whether shapes fit each other
 * is known only once the data's are, and is model's to check.
 */
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

/* The keys that a type of layer needs and may take, by type. */
#define RULE(type, name, needs, takes) [type] = {needs, takes},
static const struct { unsigned needs, takes; } rules[] = {GR_LAYER_TYPES(RULE)};

/* A key beside `type`: its name, its bit, and whether the layer has a value for it. */
struct layer_key {
    const char *name;
    unsigned bit;
    bool given;
};
enum { LAYER_KEYS = 8 };

/* A key counts as given where it is not at its default: the rules see values, not the file, so that
 * a resolved config is taken again. */
static void list_keys(const struct gr_layer_config *l, struct layer_key out[LAYER_KEYS]) {
    const struct layer_key keys[LAYER_KEYS] = {
        {"filters", FILTERS, l->filters > 0},
        {"width", WIDTH, l->width > 0},
        {"kernel", KERNEL, l->kernel > 0},
        {"stride", STRIDE, l->stride > 0},
        {"padding", PADDING, l->padding != GR_PADDING_VALID},
        {"activation", ACTIVATION, l->activation != GR_ACTIVATION_DEFAULT},
        {"groups", GROUPS, l->groups > 0},
        {"rate", RATE, l->rate > 0},
    };
    memcpy(out, keys, sizeof keys);
}

const char *gr_layer_lacks(const struct gr_layer_config *layer) {
    struct layer_key keys[LAYER_KEYS];
    list_keys(layer, keys);
    for (size_t i = 0; i < LAYER_KEYS; i++)
        if (!keys[i].given && rules[layer->type].needs & keys[i].bit) return keys[i].name;
    return NULL;
}

/* One entry of the list. */
struct layer_entry {
    const struct gr_layer_config *layer;
    const struct gr_node *node;
    struct gr_broken *broken;
    unsigned index;
};

static bool entry_sound(const struct layer_entry *e, const char *key) {
    const struct gr_node *child = gr_node_child(e->node, key, strlen(key));
    return child && !child->broken;
}

static void refuse(const struct layer_entry *e, const char *key, const char *found,
                   const char *allowed) {
    char path[64];
    const struct gr_node *child = gr_node_child(e->node, key, strlen(key));
    const bool given = child->place.line > 0 || child->place.override;
    snprintf(path, sizeof path, "model.layers[%u].%s", e->index, key);
    gr_broken_add(e->broken, given ? child->place : e->node->place, path,
                  "found %s, allowed %s (type is %s)", found, allowed,
                  gr_layer_type_text(e->layer->type));
}

static void check_keys(const struct layer_entry *e) {
    struct layer_key keys[LAYER_KEYS];
    const unsigned needs = rules[e->layer->type].needs, takes = rules[e->layer->type].takes;
    list_keys(e->layer, keys);
    for (size_t i = 0; i < LAYER_KEYS; i++) {
        if (!entry_sound(e, keys[i].name)) continue;
        if (keys[i].given && !((needs | takes) & keys[i].bit))
            refuse(e, keys[i].name, "a value", "none");
        if (!keys[i].given && needs & keys[i].bit)
            refuse(e, keys[i].name, "nothing", "more than 0");
    }
}

/* Rows and columns are gone once a dense layer has mixed them. */
static bool is_of_images(enum gr_layer_type type) {
    return type != GR_LAYER_DENSE && type != GR_LAYER_DROPOUT;
}

/* For an mlp if wanted, for a bag always, for no other. */
static void check_tables(const struct gr_model_config *model, struct gr_node *root,
                         struct gr_broken *broken) {
    const bool bag = model->type == GR_MODEL_BAG, mlp = model->type == GR_MODEL_MLP;
    const struct {
        const char *path;
        uint32_t found;
        bool wrong;
    } settings[] = {
        {"model.embedding", model->embedding,
         bag ? model->embedding == 0 : model->embedding > 0 && !mlp},
        {"model.vocabulary", model->vocabulary, bag != (model->vocabulary > 0)},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct gr_node *node = gr_node_at(root, settings[i].path);
        if (!settings[i].wrong || !node || node->broken) continue;
        const bool given = node->place.line > 0 || node->place.override;
        gr_broken_add(broken, given ? node->place : gr_node_at(root, "model")->place,
                      settings[i].path, "found %u, allowed %s (model.type is %s)",
                      settings[i].found, bag ? "more than 0" : "only 0, the default",
                      gr_model_type_text(model->type));
    }
}

/* Entries that are broken in themselves are passed over: more about them would be guesswork. */
void gr_check_layers(const struct gr_model_config *model, struct gr_node *root,
                     struct gr_broken *broken) {
    const struct gr_node *node = gr_node_at(root, "model.layers");
    bool dense = false;
    check_tables(model, root, broken);
    if (!node) return;
    node = node->child;
    for (unsigned i = 0; i < model->layers_count && node; i++, node = node->next) {
        const struct layer_entry e = {&model->layers[i], node, broken, i};
        if (node->broken || !entry_sound(&e, "type")) continue;
        check_keys(&e);
        if (dense && is_of_images(e.layer->type))
            refuse(&e, "type", "a layer of images behind a dense one", "dense or dropout");
        dense = dense || e.layer->type == GR_LAYER_DENSE;
    }
}
