/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries whose defaults abort or print are tamed here, in one place. */
#include <granary/base.h>

#include <gsl/gsl_errno.h>
#include <sodium.h>

gr_status gr_base_start(void) {
    gsl_set_error_handler_off();
    if (sodium_init() < 0) return gr_fail(GR_ERROR_INTERNAL, "libsodium did not start");
    return GR_OK;
}
