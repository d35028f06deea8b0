/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The post over a folder, both ends in one process: sessions begin, messages come once and in
 * order, whatever happens to the files on their way, and whoever is started anew is taken up again.
 */
#include "parties.h"

static struct gr_carrier *folder_of(uint32_t p, const char *path) {
    const struct gr_carrier_options who = who_is(p);
    static struct gr_carrier_options kept[PARTIES];
    struct gr_carrier *carrier;
    kept[p] = who;
    MUST(gr_carrier_open_folder(&kept[p], path, &carrier));
    return carrier;
}

static void make_all(void) {
    scratch_make();
    parties_make();
    mkdir(in_scratch("mail"), 0700);
}

static void remove_all(void) {
    parties_free();
    scratch_remove();
}

START_TEST(messages_come_once_and_in_order) {
    struct gr_carrier *carriers[PARTIES];
    struct gr_post *posts[PARTIES];
    char text[40];
    for (uint32_t p = 0; p < PARTIES; p++) {
        carriers[p] = folder_of(p, in_scratch("mail"));
        posts[p] = post_of(p, carriers[p]);
    }
    for (uint32_t p = 1; p < PARTIES; p++) {
        ck_assert_uint_eq(gr_post_session(posts[p], 0), 0);
        ck_assert_int_eq(gr_post_send(posts[0], p, NULL, 0), GR_STOPPED);
        expect(wait_for(posts[p], p == 1 ? posts[0] : NULL), GR_POST_GREETING, 0, 1, "coordinator");
        expect(wait_for(posts[0], posts[p]), GR_POST_GREETING, p, 1, parties[p].name);
        ck_assert_uint_eq(gr_post_session(posts[0], p), 1);
        ck_assert_uint_eq(gr_post_session(posts[p], 0), 1);
        for (int i = 0; i < 50; i++) {
            snprintf(text, sizeof text, "down %d to %u", i, p);
            send_text(posts[0], p, text);
            snprintf(text, sizeof text, "up %d of %u", i, p);
            send_text(posts[p], 0, text);
        }
        for (int i = 0; i < 50; i++) {
            snprintf(text, sizeof text, "up %d of %u", i, p);
            expect(wait_for(posts[0], NULL), GR_POST_MESSAGE, p, 1, text);
            snprintf(text, sizeof text, "down %d to %u", i, p);
            expect(wait_for(posts[p], NULL), GR_POST_MESSAGE, 0, 1, text);
        }
    }
    for (uint32_t p = 0; p < PARTIES; p++) {
        const struct gr_post_refused none = {0}, *refused = gr_post_refused(posts[p]);
        ck_assert_mem_eq(refused, &none, sizeof none);
        ck_assert_str_eq(said[p], "");
        gr_post_close(posts[p]);
        gr_carrier_close(carriers[p]);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {messages_come_once_and_in_order};
    if (gr_base_start() != GR_OK) return 1;
    return run_with("folder", make_all, remove_all, tests, sizeof tests / sizeof *tests);
}
