/* SPDX-License-Identifier: Apache-2.0 */
/* describe: the architecture as JSON, and back. */
#include <model/network.h>

#include <jansson.h>
#include <string.h>

static const char *const type_text[] = {[GR_MODEL_SOFTMAX] = "softmax", [GR_MODEL_MLP] = "mlp"};

enum { HIDDEN_MAX = 1024 };

gr_status gr_model_describe(const struct gr_model *model, char **out) {
    json_t *hidden = json_array(), *root;
    *out = NULL;
    for (size_t l = 0; l + 1 < model->n_layers; l++)
        json_array_append_new(hidden, json_integer((json_int_t)model->layers[l].outputs));
    root = json_pack("{s:s, s:I, s:I, s:o, s:s, s:s}", "type", type_text[model->type], "inputs",
                     (json_int_t)model->inputs, "classes", (json_int_t)model->classes, "hidden",
                     hidden, "activation", gr_activation_text(model->activation), "compute",
                     gr_compute_text(model->compute));
    if (root) *out = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    return *out ? GR_OK : gr_fail(GR_ERROR_INTERNAL, "memory for a description was refused");
}

static gr_status find_text(const json_t *root, const char *key, const char *const *texts, size_t n,
                           size_t *out) {
    const char *text = json_string_value(json_object_get(root, key));
    char quoted[64];
    if (!text) return gr_fail(GR_ERROR_DATA, "model description: \"%s\" is not a text", key);
    for (size_t i = 0; i < n; i++)
        if (strcmp(text, texts[i]) == 0) {
            *out = i;
            return GR_OK;
        }
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_DATA, "model description: \"%s\" is \"%s\", expected one of \"%s\" ...",
                   key, quoted, texts[0]);
}

static gr_status to_width(const json_t *value, const char *what, uint32_t *out) {
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > INT32_MAX)
        return gr_fail(GR_ERROR_DATA, "model description: \"%s\" holds no width of 1 to %d", what,
                       INT32_MAX);
    *out = (uint32_t)number;
    return GR_OK;
}

static gr_status read_hidden(const json_t *root, struct gr_model_config *config) {
    const json_t *hidden = json_object_get(root, "hidden");
    const size_t n = json_array_size(hidden);
    gr_status status;
    if (!json_is_array(hidden) || n > HIDDEN_MAX || (n == 0) != (config->type == GR_MODEL_SOFTMAX))
        return gr_fail(GR_ERROR_DATA,
                       "model description: %zu hidden layers in a %s model, at most %d", n,
                       type_text[config->type], HIDDEN_MAX);
    GR_TRY(gr_allocate(n, sizeof *config->hidden, "hidden widths", &config->hidden));
    config->hidden_count = (unsigned)n;
    for (size_t i = 0; i < n; i++)
        GR_TRY(to_width(json_array_get(hidden, i), "hidden", &config->hidden[i]));
out:
    return status;
}

static gr_status read_description(const json_t *root, struct gr_model_config *config,
                                  uint32_t *inputs, uint32_t *classes) {
    const char *activations[GR_ACTIVATION_TANH + 1], *computes[GR_COMPUTE_BFLOAT16 + 1];
    size_t type = 0, activation = 0, compute = 0;
    gr_status status;
    for (size_t i = 0; i <= GR_ACTIVATION_TANH; i++)
        activations[i] = gr_activation_text((enum gr_activation)i);
    for (size_t i = 0; i <= GR_COMPUTE_BFLOAT16; i++)
        computes[i] = gr_compute_text((enum gr_compute)i);
    GR_TRY(find_text(root, "type", type_text, GR_MODEL_MLP + 1, &type));
    GR_TRY(find_text(root, "activation", activations, GR_ACTIVATION_TANH + 1, &activation));
    GR_TRY(find_text(root, "compute", computes, GR_COMPUTE_BFLOAT16 + 1, &compute));
    config->type = (enum gr_model_type)type;
    config->activation = (enum gr_activation)activation;
    config->compute = (enum gr_compute)compute;
    GR_TRY(to_width(json_object_get(root, "inputs"), "inputs", inputs));
    GR_TRY(to_width(json_object_get(root, "classes"), "classes", classes));
    GR_TRY(read_hidden(root, config));
out:
    return status;
}

gr_status gr_model_create_from_description(const char *json, size_t batch_max,
                                           struct gr_model **out) {
    struct gr_model_config config = {.initialisation = GR_INITIALISE_HE};
    uint32_t inputs = 0, classes = 0;
    json_error_t error;
    gr_status status;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &error);
    *out = NULL;
    if (!root)
        return gr_fail(GR_ERROR_DATA, "model description: line %d column %d: not JSON", error.line,
                       error.column);
    GR_TRY(read_description(root, &config, &inputs, &classes));
    GR_TRY(gr_model_create(&config, inputs, classes, batch_max, out));
out:
    gr_free(config.hidden);
    json_decref(root);
    return status;
}
