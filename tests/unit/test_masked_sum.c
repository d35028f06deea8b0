/* SPDX-License-Identifier: Apache-2.0 */
/* A rank that has failed in a secure sum brings nothing to it: words without a mask do not leave.
 */
#include "cohort/masked_sum.h"

#include "scratch.h"

START_TEST(what_has_no_mask_does_not_leave) {
    static struct gr_masked_sum sum;
    uint32_t words[5] = {1, 2, 3, 4, 5};
    const uint32_t expected[5] = {0, 0, 0, 0, 5};
    sum.status = GR_ERROR_POLICY;
    snprintf(sum.message, sizeof sum.message, "a lie");
    gr_masked_add(&sum, (struct gr_stream_range){.bits = 32, .n = 4}, words);
    ck_assert_mem_eq(words, expected, sizeof words);
    ck_assert_int_eq(gr_masked_status(&sum), GR_ERROR_POLICY);
    ck_assert_str_eq(gr_message(), "a lie");
}
END_TEST

RUN_TESTS("masked sums", what_has_no_mask_does_not_leave)
