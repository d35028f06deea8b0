/* SPDX-License-Identifier: Apache-2.0 */
/* Preprocessing in a federation: fitted once, then the same for everybody who comes. */
#include "federation/fit.h"

#include <stdio.h>
#include <string.h>

/* Collective. Whether rows go into the model otherwise than as they are. */
static gr_status find_need(struct gr_federation *f, bool *needed) {
    int64_t any = f->data->columns || f->config->preprocess.scale != GR_SCALE_NONE;
    gr_status status = gr_comm_max_int64(f->comm, &any, 1);
    *needed = any != 0;
    return status;
}

static gr_status apply(struct gr_federation *f, const char *text) {
    struct gr_preprocessing *p;
    gr_status status = gr_preprocessing_create("preprocessing", text, &p);
    return status == GR_OK ? gr_data_preprocess(f->data, p) : status;
}

gr_status gr_federation_preprocess(struct gr_federation *f, const char *given) {
    char *text = NULL;
    bool needed;
    gr_status status;
    GR_TRY(find_need(f, &needed));
    if (!needed) return GR_OK;
    if (!given) GR_TRY(gr_federation_fit(f, &text));
    status = gr_comm_agree(f->comm, apply(f, given ? given : text));
out:
    gr_free(text);
    return status;
}

gr_status gr_federation_share_preprocessing(struct gr_federation *f, bool newcomer) {
    const struct gr_preprocessing *p = f->data->preprocessing;
    char *text = NULL, *mine = NULL;
    gr_status status = GR_OK;
    GR_TRY(gr_comm_agree(f->comm, gr_text_format(&mine, "%s", p ? gr_preprocessing_text(p) : "")));
    text = mine;
    GR_TRY(gr_comm_broadcast_text(f->comm, &text, GR_CONFIG_TEXT_MAX));
    if (newcomer && text[0]) status = apply(f, text);
out:
    if (text != mine) gr_free(text);
    gr_free(mine);
    return status;
}

/* ---- in words ------------------------------------------------------------------------------- */

enum { NAMES_MAX = 10, WORDS_BYTES = 1024 };

static void add_name(char *out, const char *name, size_t n) {
    size_t used = strlen(out);
    char quoted[64];
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    if (n <= NAMES_MAX)
        snprintf(out + used, WORDS_BYTES - used, "%s%s", n > 1 ? ", " : "", quoted);
    else if (n == NAMES_MAX + 1)
        snprintf(out + used, WORDS_BYTES - used, " and others");
}

gr_status gr_federation_tell_preprocessing(const struct gr_federation *f, char **words) {
    const struct gr_preprocessing *p = f->data->preprocessing;
    const struct gr_columns *columns = p ? gr_preprocessing_columns(p) : NULL;
    char names[WORDS_BYTES] = "", number[32];
    size_t n = 0;
    *words = NULL;
    if (!p) return GR_OK;
    const struct gr_fit *fit = gr_preprocessing_fit(p);
    for (size_t v = 0; v < gr_preprocessing_values(p); v++) {
        if (fit->spread[v] > 0) continue;
        snprintf(number, sizeof number, "feature %zu", v);
        add_name(names, columns ? columns->schema->columns[columns->column_of[v]].name : number,
                 ++n);
    }
    if (n == 0) return GR_OK;
    return gr_text_format(words, "preprocessing: the same in all training rows, and so 0: %s",
                          names);
}

/* Whether a feature goes into the model with one weight, as a quantity. */
static bool is_linear(enum gr_model_type type) {
    return type == GR_MODEL_SOFTMAX || type == GR_MODEL_LINEAR || type == GR_MODEL_LOGISTIC ||
           type == GR_MODEL_POISSON;
}

gr_status gr_federation_tell_codes(const struct gr_federation *f, char **words) {
    const struct gr_columns *columns = f->data->columns;
    char names[WORDS_BYTES] = "";
    size_t n = 0;
    *words = NULL;
    if (!columns || !is_linear(f->config->model.type)) return GR_OK;
    for (size_t i = 0; i < columns->n_features; i++) {
        const struct gr_feature *feature = &columns->features[i];
        if (feature->kind != GR_FEATURE_CODE || feature->n_categories < 3) continue;
        add_name(names, columns->schema->columns[feature->column].name, ++n);
    }
    if (n == 0) return GR_OK;
    return gr_text_format(words,
                          "data: codes of three and more categories in a linear model, which takes "
                          "them for quantities: %s; `encode: one_hot` gives each a weight",
                          names);
}
