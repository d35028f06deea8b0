/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that nobody waits for, whose failure costs the run nothing.
 *
 * Interface: internal.
 */
#ifndef GRANARY_OBSERVE_SPAWN_H
#define GRANARY_OBSERVE_SPAWN_H

#include <sys/types.h>

/*
 * Not collective. Starts words[0] of PATH with these words, which end with NULL, silent and in a
 * process group of its own; it reads the descriptor `input`, or nothing if that is below 0. The
 * caller keeps `input`, and reaps the process. Returns 0 where it cannot be started.
 */
pid_t gr_spawn(char *const *words, int input);

#endif
