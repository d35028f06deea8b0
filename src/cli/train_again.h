/* SPDX-License-Identifier: Apache-2.0 */
/* A training that another command starts: in a process of its own, under its rules. */
#ifndef GRANARY_CLI_TRAIN_AGAIN_H
#define GRANARY_CLI_TRAIN_AGAIN_H

#include <granary/base.h>

struct gr_training_again {
    const char *config, *run_path; /* the run is gone on with where it has begun */
    const char *ranks;             /* NULL: one process, without a launcher */
    char *const *settings;         /* further ones, "S.K=V" */
    bool quiet;
    size_t n_settings; /* at most GR_TRAINING_SETTINGS_MAX */
};
enum { GR_TRAINING_SETTINGS_MAX = 8 };
/*
 * `granary run -n RANKS`, or without ranks `granary train`, which gets the terminal's signals
 * itself. *code: it ended with; GR_STOPPED where it was killed. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_train_again(const struct gr_training_again *training, gr_status *code) GR_CHECKED;

#endif
