/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/privacy_answers.h"

#include "federation/privacy_audit.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static void print_audit(const struct gr_privacy_audit *audit) {
    printf("audit of %s: %zu rows, %llu steps, two models, which are thrown away; nothing is "
           "charged\n",
           audit->pseudonym, audit->n_rows, (unsigned long long)audit->steps);
    for (size_t i = 0; i < audit->found.n; i++)
        printf("check %-17s %s  %s\n", audit->found.check[i].name,
               audit->found.check[i].passed ? "passed" : "FAILED", audit->found.check[i].found);
    puts("All of this depends on rows without noise: it is not to leave the silo.");
}

static gr_status print_json(const struct gr_privacy_audit *audit,
                            const struct gr_audit_question *question, double delta) {
    gr_status status = GR_OK;
    json_t *checks = json_array();
    for (size_t i = 0; i < audit->found.n; i++)
        json_array_append_new(
            checks, json_pack("{s:s, s:b, s:s}", "check", audit->found.check[i].name, "passed",
                              audit->found.check[i].passed, "found", audit->found.check[i].found));
    /* A number that is infinite is null. */
    json_t *all = json_pack(
        "{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:o?, s:b, s:O?}", "silo", audit->pseudonym, "rows",
        (json_int_t)audit->n_rows, "steps", (json_int_t)audit->steps, "delta", delta, "confidence",
        question->confidence, "epsilon_by_gradients", audit->found.gradients.epsilon,
        "epsilon_by_rows", audit->found.rows.epsilon, "epsilon_accounted",
        isfinite(audit->accounted.upper) ? json_real(audit->accounted.upper) : NULL, "passed",
        audit->found.failed == 0, "checks", checks);
    char *text = all ? json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    if (text)
        puts(text);
    else
        status = gr_fail(GR_ERROR_INTERNAL, "memory for an answer was refused");
    free(text);
    json_decref(all);
    json_decref(checks);
    return status;
}

/* Whoever asks is told on which check it failed, and a program by the exit code that one has. */
static gr_status tell(const struct gr_audit_question *question, const struct gr_config *config,
                      const struct gr_privacy_audit *audit) {
    gr_status status = GR_OK;
    if (question->json)
        status = print_json(audit, question, config->privacy.budget.delta);
    else
        print_audit(audit);
    if (status == GR_OK && audit->found.failed > 0)
        status = gr_fail(GR_ERROR_INTERNAL,
                         "privacy audit: %zu of %zu checks failed: steps do not keep what is "
                         "promised of them",
                         audit->found.failed, audit->found.n);
    return status;
}

gr_status gr_tell_privacy_audit(struct gr_invocation *invocation,
                                const struct gr_audit_question *question) {
    const struct gr_comm_options alone = {0};
    struct gr_comm *comm = NULL;
    struct gr_config *config = NULL;
    struct gr_privacy_audit audit;
    gr_status status;
    GR_TRY(gr_comm_create(invocation->world, &alone, &comm));
    GR_TRY(gr_check_is_config(question->path));
    GR_TRY(
        gr_config_load(question->path, question->overrides->text, question->overrides->n, &config));
    GR_TRY(gr_privacy_audit(comm, config, question->canaries, question->confidence, &audit));
    status = tell(question, config, &audit);
out:
    gr_leave(invocation, comm);
    gr_config_free(config);
    return status;
}
