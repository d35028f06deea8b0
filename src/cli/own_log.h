/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a site: all that its terminal is told, with the time, in its own folder. */
#ifndef GRANARY_CLI_OWN_LOG_H
#define GRANARY_CLI_OWN_LOG_H

/* From now on there is one, FOLDER/site.log; borrowed; NULL: none. */
void gr_own_log_open(const char *folder);
/* A line of it for each of the words. The terminal has had them: a log that cannot be written is
 * nobody's failure. */
void gr_own_log_add(const char *words);

#endif
