/* SPDX-License-Identifier: Apache-2.0 */
/* A guess as a schema: for other rows and silos, as YAML with comments, as lines for a terminal. */
#include "data/infer.h"

#include <string.h>

static void drop_list(char ***list, unsigned *n) {
    for (unsigned i = 0; i < *n; i++)
        gr_free((*list)[i]);
    gr_free(*list);
    *list = NULL;
    *n = 0;
}

/* Each silo guesses from its own rows; columns must come out alike in all of them, which is why the
 * loosest type and policy are taken. */
void gr_infer_loosen(struct gr_schema *schema) {
    for (unsigned i = 0; i < schema->columns_count; i++) {
        struct gr_column *c = &schema->columns[i];
        if (c->type == GR_COLUMN_INTEGER) c->type = GR_COLUMN_NUMBER;
        if (c->type == GR_COLUMN_NUMBER) c->missing = GR_MISSING_MEAN;
        if (c->type == GR_COLUMN_CATEGORY) {
            c->missing = GR_MISSING_MODE;
            c->open = true; /* a rare one may name somebody: what all may know is found later */
            drop_list(&c->categories, &c->categories_count);
        }
        gr_free(c->range);
        c->range = NULL;
        c->range_count = 0;
    }
}

/* Lines as comments; a comment is one line, whatever it holds. */
static gr_status comment(char **out, const char *name, const char *lines) {
    gr_status status = GR_OK;
    char quoted[80] = "";
    if (name) gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    while (*lines) {
        const int n = (int)strcspn(lines, "\n");
        GR_TRY(gr_infer_tell(out, "# %s%s", quoted, name ? ": " : ""));
        GR_TRY(gr_infer_text_append(out, lines, (size_t)n));
        GR_TRY(gr_infer_text_append(out, "\n", 1));
        lines += n + (lines[n] == '\n');
    }
out:
    return status;
}

gr_status gr_inference_to_yaml(const struct gr_inference *inference, char **out) {
    static const char start[] = "\n- name:";
    const struct gr_schema *schema = inference->schema;
    char *yaml = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_schema_to_yaml(schema, &yaml));
    GR_TRY(comment(out, NULL, inference->notes));
    /* Each column's own lines begin with the only "- name:" at the beginning of a line. */
    const char *at = yaml, *next = strstr(yaml, start);
    for (unsigned i = 0; i < schema->columns_count && next; i++) {
        GR_TRY(gr_infer_text_append(out, at, (size_t)(next - at) + 1));
        GR_TRY(comment(out, schema->columns[i].name, inference->guesses[i].doubts));
        at = next + 1;
        next = strstr(at, start);
    }
    GR_TRY(gr_infer_text_append(out, at, strlen(at)));
out:
    gr_free(yaml);
    if (status != GR_OK) {
        gr_free(*out);
        *out = NULL;
    }
    return status;
}

gr_status gr_inference_tell(const struct gr_inference *inference, char **out) {
    const struct gr_schema *schema = inference->schema;
    char name[80];
    gr_status status;
    *out = NULL;
    GR_TRY(gr_infer_text_append(out, inference->notes, strlen(inference->notes)));
    for (unsigned i = 0; i < schema->columns_count; i++) {
        gr_text_quote(schema->columns[i].name, strlen(schema->columns[i].name), name, sizeof name);
        GR_TRY(gr_infer_tell(out, "%s: ", name));
        GR_TRY(gr_infer_text_append(out, inference->guesses[i].taken,
                                    strlen(inference->guesses[i].taken)));
        GR_TRY(gr_infer_text_append(out, "\n", 1));
    }
out:
    if (status != GR_OK) {
        gr_free(*out);
        *out = NULL;
    }
    return status;
}
