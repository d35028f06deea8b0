/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing ranks: naming the ranks that are flagged or bring other bytes than rank 0, and
 * collecting the different texts that ranks bring, so that a message can say who differs and each
 * text is told once.
 */
#include <stdio.h>
#include <string.h>

#include "comm/communicator.h"
#include "comm/handshake.h"

/* A vector of flags with an entry for each rank, of which each rank sets its own, is combined by
 * maximum: so all get all flags in one exchange, and compose the same text. */
gr_status gr_comm_name_flagged(struct gr_comm *comm, bool flagged, char out[GR_NAMES_BYTES]) {
    gr_status status = GR_OK;
    int64_t *flags = NULL;
    struct gr_names names = {0};
    const size_t n = (size_t)comm->size;
    GR_TRY(gr_comm_agree(comm, gr_allocate_zero(n, sizeof *flags, "flags of ranks", &flags)));
    flags[comm->rank] = flagged;
    GR_TRY(gr_comm_max_int64(comm, flags, n));
    for (int i = 0; i < comm->size; i++)
        if (flags[i]) gr_names_add(&names, i, comm->peers[comm->slot_of[i]].name);
    memcpy(out, names.text, sizeof names.text);
out:
    gr_free(flags);
    return status;
}

/* Rank 0 is the reference, for a majority would take a second exchange; the caller's message says
 * "unlike rank 0". Digests have one size whatever is compared. */
gr_status gr_comm_name_unlike(struct gr_comm *comm, const void *bytes, size_t n,
                              char out[GR_NAMES_BYTES]) {
    gr_status status = GR_OK;
    unsigned char digest[GR_DIGEST_BYTES], first[GR_DIGEST_BYTES];
    struct gr_digest work;
    gr_digest_start(&work);
    gr_digest_add(&work, bytes, n);
    gr_digest_finish(&work, digest);
    memcpy(first, digest, sizeof first);
    GR_TRY(gr_comm_broadcast(comm, first, sizeof first));
    status = gr_comm_name_flagged(comm, memcmp(first, digest, sizeof first) != 0, out);
out:
    return status;
}

/*
 * Collective. The text of the lowest rank that has not `told` its own; *text NULL: all have.
 * `first` is size - rank, so that the maximum is the lowest rank and 0 means nobody. Only that rank
 * brings bytes to the gather, so memory stays that of one text however many ranks there are.
 */
static gr_status next_text(struct gr_comm *comm, const char *mine, bool told, char **text) {
    gr_status status = GR_OK;
    struct gr_gathered gathered = {0};
    char cut[GR_COMM_TEXT_MAX];
    int64_t first = told ? 0 : comm->size - comm->rank;
    *text = NULL;
    GR_TRY(gr_comm_max_int64(comm, &first, 1));
    if (first == 0) return GR_OK;
    snprintf(cut, sizeof cut, "%s", mine);
    const bool tells = comm->rank == comm->size - (int)first;
    GR_TRY(gr_comm_gather(comm, cut, tells ? strlen(cut) + 1 : 0, sizeof cut, &gathered));
    *text = (char *)gathered.bytes;
    gathered.bytes = NULL;
out:
    gr_gathered_release(&gathered);
    return status;
}

/*
 * A round for each different text, GR_COMM_TEXTS_MAX at most: a thousand ranks with the same text
 * need two. A rank whose text has been told by another counts as having told its own; texts are
 * compared as cut, so two that differ only behind the cut are one.
 */
gr_status gr_comm_gather_texts(struct gr_comm *comm, const char *mine, struct gr_comm_texts *out) {
    gr_status status = GR_OK;
    bool told = false;
    const size_t slots = (size_t)comm->slots;
    *out = (struct gr_comm_texts){0};
    GR_TRY(gr_comm_agree(
        comm, gr_allocate_zero(slots, sizeof *out->of_slot, "texts of ranks", &out->of_slot)));
    while (out->n < GR_COMM_TEXTS_MAX) {
        GR_TRY(next_text(comm, mine, told, &out->text[out->n]));
        if (!out->text[out->n]) break;
        out->n++;
        if (told || strncmp(mine, out->text[out->n - 1], GR_COMM_TEXT_MAX - 1) != 0) continue;
        told = true;
        out->of_slot[comm->slot] = (int64_t)out->n; /* from 1; 0: none was told */
    }
    status = gr_comm_max_int64(comm, out->of_slot, slots);
out:
    if (status != GR_OK) gr_comm_texts_release(out);
    return status;
}

void gr_comm_texts_release(struct gr_comm_texts *texts) {
    for (size_t i = 0; i < texts->n; i++)
        gr_free(texts->text[i]);
    gr_free(texts->of_slot);
    *texts = (struct gr_comm_texts){0};
}
