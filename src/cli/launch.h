/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of `granary run`: the launcher and its words, the hosts, the process that is started
 * and watched, and what a start came to. No MPI is called here.
 */
#ifndef GRANARY_CLI_LAUNCH_H
#define GRANARY_CLI_LAUNCH_H

#include <sys/types.h>

#include "cli/command.h"

/* ---- words of a command line ------------------------------------------------------------------
 */

struct gr_words {
    char **word; /* owned; a NULL stands behind the last */
    size_t n;
};
gr_status gr_words_add(struct gr_words *words, const char *format, ...) GR_PRINTF(2, 3) GR_CHECKED;
void gr_words_release(struct gr_words *words);

/* ---- the launcher ------------------------------------------------------------------------------
 */

struct gr_launcher {
    char *path;     /* owned */
    int generation; /* of Open MPI: 4, 5, ... */
};
/* GRANARY_MPIRUN, else mpirun in PATH. Errors: GR_ERROR_USAGE. */
gr_status gr_launcher_find(struct gr_launcher *launcher) GR_CHECKED;

/* The parts of a single start; all borrowed. */
struct gr_start {
    const struct gr_launcher *launcher;
    uint32_t ranks;
    const char *hosts;    /* "a:2,b:4", or NULL: the launcher's own choice */
    char *const *options; /* further options of the launcher, NULL behind the last */
    const char *config_path;
    const struct gr_overrides *overrides;
    const char *run_path;
    bool resume, quiet;
};
gr_status gr_start_words(const struct gr_start *start, struct gr_words *out) GR_CHECKED;

/* ---- hosts -------------------------------------------------------------------------------------
 */

struct gr_hosts {
    struct gr_host {
        char *name; /* owned */
        uint32_t slots;
    } * host; /* owned */
    size_t n;
};
/* "a,b:4": as mpirun's --host. A host given without slots has one; one given twice adds up. */
gr_status gr_hosts_from_list(const char *text, struct gr_hosts *hosts) GR_CHECKED;
/* Lines "a slots=4" as mpirun's --hostfile; `#` begins a comment. */
gr_status gr_hosts_from_file(const char *path, struct gr_hosts *hosts) GR_CHECKED;
uint32_t gr_hosts_slots(const struct gr_hosts *hosts);
/* As mpirun's --host takes it. Caller releases. */
gr_status gr_hosts_text(const struct gr_hosts *hosts, char **out) GR_CHECKED;
/* Leaves out the hosts on which the launcher cannot start a process within a time limit. */
gr_status gr_hosts_probe(const struct gr_launcher *launcher, struct gr_hosts *hosts) GR_CHECKED;
void gr_hosts_release(struct gr_hosts *hosts);

/* ---- the process -------------------------------------------------------------------------------
 */

/* Once, before all else: signals are waited for from now on, and orphans come to this process. */
void gr_watch_begin(void);
/*
 * From now on this process ends with GR_STOPPED, and `words` (borrowed) on standard error, when it
 * has not come back to gr_watch or one of its kin for `seconds`: a file system that hangs would
 * keep it for ever.
 */
void gr_watch_self(double seconds, const char *words);

struct gr_watch {
    double grace_s; /* from the first signal to the end by force */
    /* Called several times a second while the process lives; true: it is to be ended. */
    bool (*tick)(void *context);
    void *context;
};
struct gr_end {
    bool asked; /* a signal came that asks for the end */
    int wait_status;
};
/*
 * Starts words in a process group of their own, standard input from /dev/null, and waits for the
 * end; signals that ask for an end go on as SIGUSR1, a second one ends by force. Leaves no process
 * behind.
 */
gr_status gr_watch(const struct gr_words *words, const struct gr_watch *watch,
                   struct gr_end *end) GR_CHECKED;
/* Several beside each other: starts words as gr_watch does, what they print goes to a file; -1: it
 * could not. The caller waits for it by waitpid. */
pid_t gr_watch_start(const struct gr_words *words, int output);
/* The number of the next signal within `seconds`; 0: none came. SIGCHLD is one. */
int gr_watch_signal(double seconds);
/* Ends whatever is left of children and orphans. */
void gr_watch_sweep(void);
/* Waits; true when a signal asked for the end meanwhile. */
bool gr_watch_pause(double seconds);
/* Runs words silently for at most `seconds`; what they print goes to out (size bytes, may be 0).
 * True when they ended with 0. */
bool gr_watch_quick(const struct gr_words *words, double seconds, char *out, size_t size);

/* ---- what a start came to ----------------------------------------------------------------------
 */

/*
 * Ranks of `train` leave their status in the file that GRANARY_STATUS_FILE names, and which is
 * there: a launcher that is to survive the death of ranks ends with 0 whatever they ended with, or
 * not at all. A noted GR_OK stays: whoever was cut off from the others ends otherwise, and later. A
 * rank that does not speak for the others notes only what all have agreed on, where nothing is
 * noted: rank 0 may be where the file is not seen.
 */
void gr_note_status(gr_status status, bool speaks);
#define GR_STATUS_FILE "GRANARY_STATUS_FILE"
/* Rank 0: that it runs. GR_ERROR_WRITE: the file is not there. */
gr_status gr_note_start(void) GR_CHECKED;
/* From here until gr_note_met a rank that gives up notes it, whichever it is: the launcher may wait
 * for another one that stands still. */
void gr_note_meeting(void);
void gr_note_met(bool speaks);
/* The status noted in a file; -1: none. */
int gr_noted_status(const char *path);
/* Whether anything is. */
bool gr_noted_start(const char *path);
/* Makes the file, or empties it. Errors: GR_ERROR_WRITE. */
gr_status gr_note_clear(const char *path) GR_CHECKED;
/* Where the file is for a run directory; and those that killed processes have left are removed. */
gr_status gr_note_path(const char *run_path, bool within, char **out) GR_CHECKED;
void gr_notes_clear(const char *run_path);

/* Marks of a run directory, to see what a start changed. */
struct gr_marks {
    int64_t manifest[3]; /* inode and time of manifest.json; zeros: none */
    uint32_t checkpoint; /* round of the newest; 0: none */
    bool holds_run;
};
void gr_marks_read(const char *run_path, struct gr_marks *out);
/* The bytes of the records that only grow: unchanged, no round was recorded since. */
int64_t gr_records_bytes(const char *run_path);
/* Whether manifest.json says "finished". */
bool gr_run_finished(const char *run_path);

struct gr_outcome {
    struct gr_end end;
    int noted;      /* the status that rank 0 left, -1: none */
    bool began;     /* the manifest was written in this start */
    bool finished;  /* and says so */
    bool first;     /* this was no restart */
    bool fresh;     /* in none of the starts has training begun */
    bool unstarted; /* it was ended because no rank had said anything in time */
};
/* The status to end with, or GR_LOST: start again, because of *reason. */
gr_status gr_outcome_judge(const struct gr_outcome *outcome, const char **reason);

#endif
