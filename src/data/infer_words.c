/* SPDX-License-Identifier: Apache-2.0 */
/* The different texts of a column, counted, as long as they are few: beyond GR_WORDS_MAX texts or
 * GR_WORDS_BYTES bytes the column is none of categories, and nothing is kept of it. */
#include "data/infer.h"

#include <string.h>

enum { SLOTS = 2 * GR_WORDS_MAX, NOBODY = UINT16_MAX };

uint64_t gr_infer_words_hash(const char *text, size_t length) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

static gr_status make_room(struct gr_infer_words *words) {
    gr_status status;
    if (words->word) return GR_OK;
    GR_TRY(gr_allocate(GR_WORDS_MAX, sizeof *words->word, "words", &words->word));
    GR_TRY(gr_allocate(GR_WORDS_BYTES, 1, "words", &words->text));
    GR_TRY(gr_allocate(SLOTS, sizeof *words->slot, "words", &words->slot));
    memset(words->slot, 0xFF, SLOTS * sizeof *words->slot);
out:
    return status;
}

/* V57 among numbers of diagnoses: the whole column is of codes. */
bool gr_infer_words_is_code(const struct gr_infer_words *words, size_t i) {
    return words->word[i].form.kind == GR_FORM_WORD &&
           strpbrk(gr_infer_words_text(words, i), "0123456789") != NULL;
}

const char *gr_infer_words_text(const struct gr_infer_words *words, size_t i) {
    return words->text + words->word[i].at;
}

/* `many` outlives the release. */
static void give_up(struct gr_infer_words *words) {
    gr_infer_words_release(words);
    words->many = true;
}

/* The slot of a text, or the empty one where it would be. There is room. */
static size_t slot_of(const struct gr_infer_words *words, const char *text, size_t length) {
    size_t at = gr_infer_words_hash(text, length) % SLOTS;
    for (; words->slot[at] != NOBODY; at = (at + 1) % SLOTS) {
        const struct gr_infer_word *word = &words->word[words->slot[at]];
        if (word->length == length && memcmp(words->text + word->at, text, length) == 0) break;
    }
    return at;
}

const struct gr_infer_form *gr_infer_words_form(const struct gr_infer_words *words,
                                                const char *text, size_t length) {
    if (words->n == 0) return NULL;
    const uint16_t i = words->slot[slot_of(words, text, length)];
    return i == NOBODY ? NULL : &words->word[i].form;
}

gr_status gr_infer_words_count(struct gr_infer_words *words, const char *text, size_t length,
                               const struct gr_infer_form *form, size_t line) {
    if (words->many) return GR_OK;
    gr_status status = make_room(words);
    if (status != GR_OK) return status;
    const size_t at = slot_of(words, text, length);
    if (words->slot[at] != NOBODY) {
        struct gr_infer_word *word = &words->word[words->slot[at]];
        word->count++;
        if (line < word->line) word->line = line;
        return GR_OK;
    }
    if (words->n == GR_WORDS_MAX || words->bytes + length + 1 > GR_WORDS_BYTES) {
        give_up(words);
        return GR_OK;
    }
    words->slot[at] = (uint16_t)words->n;
    struct gr_infer_word *word = &words->word[words->n++];
    *word = (struct gr_infer_word){words->bytes, length, 1, line, *form};
    /* The affixes point into the scan's buffer, which the next row overwrites. */
    memset(word->form.affix, 0, sizeof word->form.affix);
    memset(word->form.affix_length, 0, sizeof word->form.affix_length);
    memcpy(words->text + words->bytes, text, length);
    words->text[words->bytes + length] = '\0';
    words->bytes += length + 1;
    return GR_OK;
}

void gr_infer_words_release(struct gr_infer_words *words) {
    gr_free(words->word);
    gr_free(words->slot);
    gr_free(words->text);
    *words = (struct gr_infer_words){.many = words->many};
}
