/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hosts a run may use, and a probe of which still answer. A host list is kept here and given to
 * mpirun as --host, whatever form the user chose, so that dead hosts can be taken out of it.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/launch.h"

enum { HOSTFILE_MAX = 16 << 20, SLOTS_MAX = 1 << 20, PROBE_SECONDS = 20 };

/* A host that is named twice gets the sum of its slots, as with mpirun. */
static gr_status add_host(struct gr_hosts *hosts, const char *name, size_t length, uint32_t slots) {
    for (size_t i = 0; i < hosts->n; i++) {
        if (strlen(hosts->host[i].name) != length ||
            strncmp(hosts->host[i].name, name, length) != 0)
            continue;
        hosts->host[i].slots += slots;
        return GR_OK;
    }
    struct gr_host *grown = realloc(hosts->host, (hosts->n + 1) * sizeof *grown);
    char *copy = strndup(name, length);
    if (grown) hosts->host = grown;
    if (!grown || !copy) {
        free(copy);
        return gr_fail(GR_ERROR_INTERNAL, "memory for the hosts was refused");
    }
    hosts->host[hosts->n++] = (struct gr_host){copy, slots};
    return GR_OK;
}

/*
 * A number of slots: all of the text, 1 to SLOTS_MAX; 0: it is none. At most 7 digits, so that no
 * overflow is possible.
 */
static uint32_t read_slots(const char *text, size_t length) {
    uint32_t slots = 0;
    if (length == 0 || length > 7) return 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return 0;
        slots = 10 * slots + (uint32_t)(text[i] - '0');
    }
    return slots <= SLOTS_MAX ? slots : 0;
}

/* An empty name, as between two commas, is refused as a mistake. */
gr_status gr_hosts_from_list(const char *text, struct gr_hosts *hosts) {
    gr_status status = GR_OK;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ","), name = strcspn(at, ":,");
        uint32_t slots = name == length ? 1 : read_slots(at + name + 1, length - name - 1);
        if (name == 0 || slots == 0)
            return gr_fail(GR_ERROR_USAGE, "--host: found '%.*s', expected NAME or NAME:SLOTS",
                           (int)(length > 80 ? 80 : length), at);
        GR_TRY(add_host(hosts, at, name, slots));
        at += length;
        if (!*at) break;
    }
out:
    return status;
}

/* "name slots=4 max_slots=8": the words after the name in any order; `max_slots` is not ours. */
static gr_status read_line(const char *path, size_t number, char *line, struct gr_hosts *hosts) {
    char *name = NULL, *word;
    uint32_t slots = 1;
    line[strcspn(line, "#\r")] = '\0';
    while ((word = strsep(&line, " \t"))) {
        if (!*word) continue;
        if (!name) {
            name = word;
        } else if (strncmp(word, "slots=", 6) == 0) {
            slots = read_slots(word + 6, strlen(word + 6));
            if (slots == 0)
                return gr_fail(GR_ERROR_USAGE, "%s:%zu: found '%.80s', expected slots=1 to %d",
                               path, number, word, SLOTS_MAX);
        }
    }
    return name ? add_host(hosts, name, strlen(name), slots) : GR_OK;
}

/* The same syntax as mpirun's, of which only names and slots are used. Bounded by HOSTFILE_MAX. */
gr_status gr_hosts_from_file(const char *path, struct gr_hosts *hosts) {
    gr_status status = GR_OK;
    char *text = NULL, *rest, *line;
    size_t length, number = 0;
    GR_TRY(gr_file_read(path, HOSTFILE_MAX, GR_ERROR_USAGE, &text, &length));
    rest = text;
    while ((line = strsep(&rest, "\n")))
        GR_TRY(read_line(path, ++number, line, hosts));
    if (hosts->n == 0) status = gr_fail(GR_ERROR_USAGE, "%s: names no host", path);
out:
    gr_free(text);
    return status;
}

uint32_t gr_hosts_slots(const struct gr_hosts *hosts) {
    uint32_t slots = 0;
    for (size_t i = 0; i < hosts->n; i++)
        slots += hosts->host[i].slots;
    return slots;
}

/* No hosts: *out is NULL, and the launcher chooses by itself. */
gr_status gr_hosts_text(const struct gr_hosts *hosts, char **out) {
    gr_status status = GR_OK;
    char *text = NULL;
    for (size_t i = 0; status == GR_OK && i < hosts->n; i++) {
        char *longer = NULL;
        status = gr_text_format(&longer, "%s%s%s:%u", text ? text : "", text ? "," : "",
                                hosts->host[i].name, hosts->host[i].slots);
        gr_free(text);
        text = longer;
    }
    *out = text;
    return status;
}

/*
 * Starts `true` there by the launcher itself: a host that answers to ping may still refuse the
 * launcher's daemon, and only that counts.
 */
static gr_status answers(const struct gr_launcher *launcher, const char *host, bool *out) {
    gr_status status = GR_OK;
    struct gr_words words = {0};
    GR_TRY(gr_words_add(&words, "%s", launcher->path));
    GR_TRY(gr_words_add(&words, "-n"));
    GR_TRY(gr_words_add(&words, "1"));
    GR_TRY(gr_words_add(&words, "--host"));
    GR_TRY(gr_words_add(&words, "%s", host));
    GR_TRY(gr_words_add(&words, "true"));
    *out = gr_watch_quick(&words, PROBE_SECONDS, NULL, 0);
out:
    gr_words_release(&words);
    return status;
}

/*
 * Probes the hosts one after the other, each for up to PROBE_SECONDS: only before a restart, when
 * time has been lost anyway. An error of this host (no memory) takes out all hosts behind it and is
 * returned.
 */
gr_status gr_hosts_probe(const struct gr_launcher *launcher, struct gr_hosts *hosts) {
    gr_status status = GR_OK;
    size_t kept = 0;
    for (size_t i = 0; i < hosts->n; i++) {
        bool good = false;
        if (status == GR_OK) status = answers(launcher, hosts->host[i].name, &good);
        if (good)
            hosts->host[kept++] = hosts->host[i];
        else
            free(hosts->host[i].name);
    }
    hosts->n = kept;
    return status;
}

void gr_hosts_release(struct gr_hosts *hosts) {
    for (size_t i = 0; i < hosts->n; i++)
        free(hosts->host[i].name);
    free(hosts->host);
    *hosts = (struct gr_hosts){0};
}
