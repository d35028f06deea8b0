/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries whose defaults abort or print are tamed here, in one place. */
#include <granary/base.h>

#include <gsl/gsl_errno.h>
#include <sodium.h>
#include <stdlib.h>

gr_status gr_base_start(void) {
    /* HDF5 locks each file it opens, and fails on file systems that have no locks; nothing here
     * relies on its locks. Read when HDF5 starts; a user's own choice stands. */
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
    gsl_set_error_handler_off();
    if (sodium_init() < 0) return gr_fail(GR_ERROR_INTERNAL, "libsodium did not start");
    return GR_OK;
}
