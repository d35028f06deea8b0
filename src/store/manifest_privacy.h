/* SPDX-License-Identifier: Apache-2.0 */
/* What a manifest says of privacy. */
#ifndef GRANARY_STORE_MANIFEST_PRIVACY_H
#define GRANARY_STORE_MANIFEST_PRIVACY_H

#include <granary/store.h>
#include <jansson.h>

/* Not collective. account: NULL: no unit is protected. The caller's; NULL: no memory. */
json_t *gr_manifest_privacy(const struct gr_config *config,
                            const struct gr_privacy_account *account);

#endif
