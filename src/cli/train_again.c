/* SPDX-License-Identifier: Apache-2.0 */
/* See train_again.h. */
#include "cli/train_again.h"

#include <granary/store.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"

/* exec takes words that it may write to. */
static void become_training(const struct gr_training_again *t, bool resume) {
    static char run[] = "run", train[] = "train", n_ranks[] = "-n", to[] = "--run",
                again[] = "--resume", set[] = "--set", quiet[] = "--quiet";
    char program[PATH_MAX], ranks[16] = "", config[PATH_MAX], folder[PATH_MAX],
                            *words[13 + 2 * GR_TRAINING_SETTINGS_MAX];
    size_t n = 0;
    if (gr_own_program(program) != GR_OK) _exit((int)GR_ERROR_INTERNAL);
    snprintf(config, sizeof config, "%s", t->config);
    snprintf(folder, sizeof folder, "%s", t->run_path);
    words[n++] = program;
    words[n++] = t->ranks ? run : train;
    if (t->ranks) {
        snprintf(ranks, sizeof ranks, "%s", t->ranks);
        words[n++] = n_ranks;
        words[n++] = ranks;
    }
    words[n++] = config;
    words[n++] = to;
    words[n++] = folder;
    if (resume) words[n++] = again;
    if (t->quiet) words[n++] = quiet;
    for (size_t i = 0; i < t->n_settings && i < GR_TRAINING_SETTINGS_MAX; i++) {
        words[n++] = set;
        words[n++] = t->settings[i];
    }
    words[n] = NULL;
    execv(program, words);
    _exit((int)GR_ERROR_INTERNAL);
}

gr_status gr_train_again(const struct gr_training_again *training, gr_status *code) {
    struct gr_run_facts facts;
    const bool resume = gr_run_facts_read(training->run_path, &facts) == GR_OK;
    int how = 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) return gr_fail(GR_ERROR_INTERNAL, "fork: %s", strerror(errno));
    if (child == 0) become_training(training, resume);
    signal(SIGINT, SIG_IGN);
    while (waitpid(child, &how, 0) < 0 && errno == EINTR)
        ;
    signal(SIGINT, SIG_DFL);
    *code = WIFEXITED(how) ? (gr_status)WEXITSTATUS(how) : GR_STOPPED;
    return GR_OK;
}
