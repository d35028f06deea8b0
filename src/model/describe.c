/* SPDX-License-Identifier: Apache-2.0 */
/*
 * describe: the architecture as JSON, and back. The text stands in model files and checkpoints,
 * whose readers are of other versions and other languages: keys are only added, in sorted order, so
 * that one architecture has one text. Parameters are store's. A text that is read may be anybody's:
 * every number is checked before it becomes a size.
 */
#include <model/network.h>

#include <jansson.h>
#include <math.h>
#include <string.h>

/* Layers of a network; beyond it a file is damaged, or meant to take memory. */
enum { LIST_MAX = 1024 };

/* ---- to JSON ------------------------------------------------------------------------------ */

/* A layer's whole numbers: their names, and where they are. */
static const struct {
    const char *key;
    size_t offset;
} numbers[] = {
    {"filters", offsetof(struct gr_layer_config, filters)},
    {"width", offsetof(struct gr_layer_config, width)},
    {"kernel", offsetof(struct gr_layer_config, kernel)},
    {"stride", offsetof(struct gr_layer_config, stride)},
    {"groups", offsetof(struct gr_layer_config, groups)},
};
enum { N_NUMBERS = sizeof numbers / sizeof *numbers };

static uint32_t *number_of(struct gr_layer_config *layer, size_t i) {
    return (uint32_t *)(void *)((char *)layer + numbers[i].offset);
}

/* Settings at their default are left out, which keeps old readers able to read models that do not
 * use new ones. `config` is copied for number_of, which gives a place that may be written. */
static json_t *describe_layer(const struct gr_layer *layer) {
    struct gr_layer_config config = layer->config;
    json_t *out = json_pack("{s:s, s:s}", "type", gr_layer_type_text(config.type), "activation",
                            gr_activation_text(layer->activation));
    for (size_t i = 0; i < N_NUMBERS; i++)
        if (*number_of(&config, i) > 0)
            json_object_set_new(out, numbers[i].key, json_integer(*number_of(&config, i)));
    if (config.padding != GR_PADDING_VALID)
        json_object_set_new(out, "padding", json_string(gr_padding_text(config.padding)));
    if (config.rate > 0) json_object_set_new(out, "rate", json_real(config.rate));
    return out;
}

/* Writes the tables of the first layer; returns how many layers these are. */
static size_t describe_front(const struct gr_model *model, json_t *root) {
    const struct gr_layer *first = &model->layers[0];
    const bool bag = first->config.type == GR_LAYER_BAG;
    if (!bag && first->config.type != GR_LAYER_EMBEDDING) return 0;
    json_object_set_new(root, "embedding", json_integer(first->config.width));
    if (bag) {
        json_object_set_new(root, "vocabulary", json_integer((json_int_t)first->vocabulary));
        return 1;
    }
    json_t *codes = json_array();
    for (size_t k = 0; k < first->n_codes; k++)
        json_array_append_new(codes, json_pack("[I, I]", (json_int_t)first->codes[k].feature,
                                               (json_int_t)first->codes[k].n_categories));
    json_object_set_new(root, "codes", codes);
    return 1;
}

/* All layers but the last, which follows from the rest. */
static void describe_layers(const struct gr_model *model, json_t *root) {
    json_t *list = json_array(), *shape = json_array();
    for (size_t l = describe_front(model, root); l + 1 < model->n_layers; l++)
        json_array_append_new(list, model->type == GR_MODEL_CNN
                                        ? describe_layer(&model->layers[l])
                                        : json_integer((json_int_t)model->layers[l].outputs));
    json_object_set_new(root, model->type == GR_MODEL_CNN ? "layers" : "hidden", list);
    for (size_t i = 0; i < model->row.n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)model->row.dims[i]));
    if (model->type == GR_MODEL_CNN) json_object_set(root, "shape", shape);
    json_decref(shape);
}

gr_status gr_model_describe(const struct gr_model *model, char **out) {
    json_t *root = json_pack(
        "{s:s, s:I, s:I, s:s, s:s}", "type", gr_model_type_text(model->type), "inputs",
        (json_int_t)model->inputs, "classes", (json_int_t)model->classes, "activation",
        gr_activation_text(model->activation), "compute", gr_compute_text(model->compute));
    *out = NULL;
    /* The calls below do not look for lack of memory: jansson passes NULL on, and the text lacks a
     * key or is NULL. */
    if (root) {
        describe_layers(model, root);
        if (model->own_loss)
            json_object_set_new(root, "loss", json_string(gr_loss_text(model->loss.type)));
        if (model->loss.type == GR_LOSS_HUBER)
            json_object_set_new(root, "huber_delta", json_real(model->loss.huber_delta));
        if (model->offsets) json_object_set_new(root, "offset", json_true());
        *out = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    }
    json_decref(root);
    return *out ? GR_OK : gr_fail(GR_ERROR_INTERNAL, "memory for a description was refused");
}

/* ---- from JSON ---------------------------------------------------------------------------- */

/* Names of enums by value, under one type of function; the compiler lets no function of an enum
 * stand for one of int. */
typedef const char *(*name_of)(int value);

static const char *type_name(int value) {
    return gr_model_type_text((enum gr_model_type)value);
}
static const char *activation_name(int value) {
    return gr_activation_text((enum gr_activation)value);
}
static const char *compute_name(int value) {
    return gr_compute_text((enum gr_compute)value);
}
static const char *loss_name(int value) {
    return gr_loss_text((enum gr_loss_type)value);
}
static const char *layer_name(int value) {
    return gr_layer_type_text((enum gr_layer_type)value);
}
static const char *padding_name(int value) {
    return gr_padding_text((enum gr_padding)value);
}

/* The value from 0 to `last` whose name stands under `key`. */
static gr_status find_text(const json_t *root, const char *key, name_of name, int last, int *out) {
    const char *text = json_string_value(json_object_get(root, key));
    char quoted[64];
    if (!text) return gr_fail(GR_ERROR_DATA, "model description: \"%s\" is not a text", key);
    for (int i = 0; i <= last; i++)
        if (strcmp(text, name(i)) == 0) {
            *out = i;
            return GR_OK;
        }
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_DATA, "model description: \"%s\" is \"%s\", expected one of \"%s\" ...",
                   key, quoted, name(0));
}

/* Up to INT32_MAX: products of widths are checked where layers are planned. */
static gr_status to_width(const json_t *value, const char *what, uint32_t *out) {
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > INT32_MAX)
        return gr_fail(GR_ERROR_DATA, "model description: \"%s\" holds no width of 1 to %d", what,
                       INT32_MAX);
    *out = (uint32_t)number;
    return GR_OK;
}

/* Between 0 and most, neither of them allowed. */
static gr_status to_real(const json_t *value, const char *what, double most, double *out) {
    *out = json_number_value(value);
    if (!json_is_number(value) || !(*out > 0) || !(*out < most))
        return gr_fail(GR_ERROR_DATA, "model description: \"%s\" holds no number of 0 to %g", what,
                       most);
    return GR_OK;
}

/* "default" is refused as an activation: a description says the one that was used. */
static gr_status read_layer(const json_t *from, struct gr_layer_config *layer) {
    int type = 0, activation = 0, padding = GR_PADDING_VALID;
    gr_status status;
    GR_TRY(find_text(from, "type", layer_name, GR_LAYER_TYPES_NAMED - 1, &type));
    GR_TRY(find_text(from, "activation", activation_name, GR_ACTIVATION_NONE, &activation));
    if (json_object_get(from, "padding"))
        GR_TRY(find_text(from, "padding", padding_name, GR_PADDING_SAME, &padding));
    layer->type = (enum gr_layer_type)type;
    layer->activation = (enum gr_activation)activation;
    layer->padding = (enum gr_padding)padding;
    for (size_t i = 0; i < N_NUMBERS; i++)
        if (json_object_get(from, numbers[i].key))
            GR_TRY(to_width(json_object_get(from, numbers[i].key), numbers[i].key,
                            number_of(layer, i)));
    if (json_object_get(from, "rate"))
        GR_TRY(to_real(json_object_get(from, "rate"), "rate", 1, &layer->rate));
out:
    return status;
}

/* A layer without a key that its type needs would be refused later, or divide by zero. */
static gr_status check_layer(const struct gr_layer_config *layer) {
    if (gr_layer_lacks(layer))
        return gr_fail(GR_ERROR_DATA, "model description: a %s layer lacks its size",
                       gr_layer_type_text(layer->type));
    return GR_OK;
}

/* "hidden" of an mlp and a bag, "layers" of a cnn; no other has any. A bag's may be none. */
static gr_status read_layers(const json_t *root, struct gr_model_config *config) {
    const bool cnn = config->type == GR_MODEL_CNN;
    const json_t *list = json_object_get(root, cnn ? "layers" : "hidden");
    const size_t n = json_array_size(list);
    gr_status status;
    const bool none = n == 0 && !cnn && config->type != GR_MODEL_MLP;
    const bool some =
        n > 0 && (cnn || config->type == GR_MODEL_MLP || config->type == GR_MODEL_BAG);
    if (!json_is_array(list) || n > LIST_MAX || (!none && !some))
        return gr_fail(GR_ERROR_DATA, "model description: %zu %s in a %s model, at most %d", n,
                       cnn ? "layers" : "hidden layers", gr_model_type_text(config->type),
                       LIST_MAX);
    /* Both lists are made, of which one stays empty, so that the caller frees both in any case. */
    GR_TRY(gr_allocate_zero(n, sizeof *config->hidden, "hidden widths", &config->hidden));
    GR_TRY(gr_allocate_zero(n, sizeof *config->layers, "layers", &config->layers));
    if (!cnn) config->hidden_count = (unsigned)n;
    if (cnn) config->layers_count = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        if (!cnn) GR_TRY(to_width(entry, "hidden", &config->hidden[i]));
        if (cnn) GR_TRY(read_layer(entry, &config->layers[i]));
        if (cnn) GR_TRY(check_layer(&config->layers[i]));
    }
out:
    return status;
}

/* One of "codes": a feature, of which there are 0 to INT32_MAX, and how many categories. */
static gr_status read_code(const json_t *entry, struct gr_code *code) {
    const json_t *feature = json_array_get(entry, 0);
    const json_int_t number = json_integer_value(feature);
    gr_status status;
    if (json_array_size(entry) != 2 || !json_is_integer(feature) || number < 0 ||
        number > INT32_MAX)
        return gr_fail(GR_ERROR_DATA, "model description: one of \"codes\" is not a feature and "
                                      "its number of categories");
    code->feature = (uint32_t)number;
    GR_TRY(to_width(json_array_get(entry, 1), "codes", &code->n_categories));
out:
    return status;
}

/* Reads the tables of the first layer. *list: the caller's, also on failure. */
static gr_status read_front(const json_t *root, struct gr_model_config *config,
                            struct gr_code **list, size_t *n) {
    const json_t *codes = json_object_get(root, "codes");
    gr_status status = GR_OK;
    *n = json_array_size(codes);
    if (config->type == GR_MODEL_BAG)
        GR_TRY(to_width(json_object_get(root, "vocabulary"), "vocabulary", &config->vocabulary));
    if (config->type == GR_MODEL_BAG || codes)
        GR_TRY(to_width(json_object_get(root, "embedding"), "embedding", &config->embedding));
    GR_TRY(gr_allocate_zero(*n, sizeof **list, "codes", list));
    for (size_t i = 0; i < *n; i++)
        GR_TRY(read_code(json_array_get(codes, i), &(*list)[i]));
out:
    return status;
}

/* Absent in texts of models whose loss is their type's own. */
static gr_status read_loss(const json_t *root, struct gr_model_config *config) {
    int loss = GR_LOSS_DEFAULT;
    gr_status status = GR_OK;
    if (json_object_get(root, "loss"))
        GR_TRY(find_text(root, "loss", loss_name, GR_LOSS_POISSON, &loss));
    config->loss = (enum gr_loss_type)loss;
    if (loss == GR_LOSS_HUBER)
        GR_TRY(to_real(json_object_get(root, "huber_delta"), "huber_delta", HUGE_VAL,
                       &config->huber_delta));
out:
    return status;
}

/* A row is a plain list of inputs, or where there is a "shape" an image. */
static gr_status read_row(const json_t *root, struct gr_row_shape *row) {
    const json_t *shape = json_object_get(root, "shape");
    uint32_t size = 0;
    gr_status status;
    GR_TRY(to_width(json_object_get(root, "inputs"), "inputs", &size));
    *row = (struct gr_row_shape){1, {size}};
    if (!shape) goto out;
    row->n_dims = json_array_size(shape);
    if (row->n_dims > GR_TENSOR_DIMS_MAX)
        return gr_fail(GR_ERROR_DATA, "model description: \"shape\" has over %d dimensions",
                       GR_TENSOR_DIMS_MAX);
    for (size_t i = 0; i < row->n_dims; i++) {
        GR_TRY(to_width(json_array_get(shape, i), "shape", &size));
        row->dims[i] = size;
    }
out:
    return status;
}

/* Classes are read only where the loss has some: a regression's text says 0. */
static gr_status read_description(const json_t *root, struct gr_model_config *config,
                                  struct gr_row_shape *row, uint32_t *classes) {
    int type = 0, activation = 0, compute = 0;
    gr_status status;
    GR_TRY(find_text(root, "type", type_name, GR_MODEL_BAG, &type));
    GR_TRY(find_text(root, "activation", activation_name, GR_ACTIVATION_TANH, &activation));
    GR_TRY(find_text(root, "compute", compute_name, GR_COMPUTE_BFLOAT16, &compute));
    config->type = (enum gr_model_type)type;
    config->activation = (enum gr_activation)activation;
    config->compute = (enum gr_compute)compute;
    GR_TRY(read_loss(root, config));
    GR_TRY(read_row(root, row));
    const enum gr_task task = gr_loss_task(gr_loss_of(config));
    if (task == GR_TASK_CLASSIFICATION || task == GR_TASK_BINARY)
        GR_TRY(to_width(json_object_get(root, "classes"), "classes", classes));
    GR_TRY(read_layers(root, config));
out:
    return status;
}

/* Before it takes any memory: a short text may ask for a lot. */
static gr_status check_plan(struct gr_model *model, const struct gr_layout *layout) {
    enum { MEBIBYTE = 1 << 20, ROOM_MAX = 2048 };
    const size_t room = gr_model_room(model) / MEBIBYTE;
    if (layout && !gr_layout_equal(layout, &model->layout))
        return gr_fail(GR_ERROR_DATA, "its tensors are not those of its architecture");
    if (room > ROOM_MAX)
        return gr_fail(GR_ERROR_DATA,
                       "model description: a batch of %zu rows would take %zu MiB, expected at "
                       "most %d",
                       model->batch_max, room, ROOM_MAX);
    return GR_OK;
}

/* Planned, held against the file's tensors and against the memory it would take, and only then
 * furnished. Duplicate keys are refused: JSON libraries differ in the one that holds. */
gr_status gr_model_create_from_description(const char *json, const struct gr_layout *layout,
                                           size_t batch_max, struct gr_model **out) {
    struct gr_model *model = NULL;
    struct gr_code *list = NULL;
    size_t n_codes = 0;
    struct gr_model_config config = {.initialisation = GR_INITIALISE_HE, .huber_delta = 1};
    struct gr_row_shape row = {0};
    uint32_t classes = 0;
    json_error_t error;
    gr_status status;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &error);
    *out = NULL;
    if (!root)
        return gr_fail(GR_ERROR_DATA, "model description: line %d column %d: not JSON", error.line,
                       error.column);
    GR_TRY(read_description(root, &config, &row, &classes));
    GR_TRY(read_front(root, &config, &list, &n_codes));
    GR_TRY(gr_model_plan(&config, &row, &(struct gr_codes){n_codes, list}, classes, batch_max,
                         &model));
    GR_TRY(check_plan(model, layout));
    GR_TRY(gr_model_furnish(model));
    if (json_is_true(json_object_get(root, "offset"))) GR_TRY(gr_model_use_offsets(model));
    *out = model;
    model = NULL;
out:
    gr_model_free(model);
    gr_free(list);
    gr_free(config.layers);
    gr_free(config.hidden);
    json_decref(root);
    return status;
}
