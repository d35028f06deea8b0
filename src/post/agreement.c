/* SPDX-License-Identifier: Apache-2.0 */
/* Agreement of keys by X25519, BLAKE2b and libsodium's key derivation. */
#include "post/agreement.h"

#include <sodium.h>
#include <string.h>

#include "post/keys.h"

_Static_assert(crypto_kdf_KEYBYTES == GR_KEY_BYTES, "a master key is one of ours");

void gr_fresh_key_draw(struct gr_fresh_key *out) {
    crypto_box_keypair(out->public_key, out->secret);
}

/* Begins the derivation with what both sides and everybody may know. */
static void start(struct gr_digest *digest, const char *title, const struct gr_agreement *between) {
    gr_digest_start(digest);
    gr_digest_add(digest, title, strlen(title) + 1);
    gr_digest_add(digest, between->study, GR_DIGEST_BYTES);
    gr_digest_add(digest, between->session, GR_SESSION_BYTES);
    gr_digest_add(digest, between->coordinator->verify, GR_KEY_BYTES);
    gr_digest_add(digest, between->coordinator->seal, GR_KEY_BYTES);
    gr_digest_add(digest, between->site->verify, GR_KEY_BYTES);
    gr_digest_add(digest, between->site->seal, GR_KEY_BYTES);
}

static const unsigned char *other_seal(const struct gr_agreement *between) {
    return between->at_coordinator ? between->site->seal : between->coordinator->seal;
}

bool gr_agree_hello(const struct gr_agreement *between, const unsigned char *site_fresh,
                    const unsigned char *site_secret, unsigned char key[GR_KEY_BYTES]) {
    unsigned char shares[2][GR_KEY_BYTES];
    struct gr_digest digest;
    const bool fresh =
        site_secret ? crypto_scalarmult(shares[0], site_secret, between->coordinator->seal) == 0
                    : gr_keys_share(between->mine, site_fresh, shares[0]);
    const bool good = fresh && gr_keys_share(between->mine, other_seal(between), shares[1]);
    if (good) {
        start(&digest, "granary hello 1", between);
        gr_digest_add(&digest, site_fresh, GR_KEY_BYTES);
        gr_digest_add(&digest, shares, sizeof shares);
        gr_digest_finish(&digest, key);
    }
    sodium_memzero(&digest, sizeof digest);
    sodium_memzero(shares, sizeof shares);
    return good;
}

/* Shares in one order on both sides: fresh and fresh; the site's fresh, the coordinator's lasting;
 * the other way round; lasting and lasting. */
bool gr_agree_session(const struct gr_agreement *between, const struct gr_fresh_key *mine,
                      const unsigned char *theirs, unsigned char to_coordinator[GR_KEY_BYTES],
                      unsigned char to_site[GR_KEY_BYTES]) {
    unsigned char shares[4][GR_KEY_BYTES], master[GR_KEY_BYTES];
    struct gr_digest digest;
    const int i =
        between->at_coordinator ? 2 : 1; /* the share of my fresh key with their lasting */
    const bool good = crypto_scalarmult(shares[0], mine->secret, theirs) == 0 &&
                      crypto_scalarmult(shares[i], mine->secret, other_seal(between)) == 0 &&
                      gr_keys_share(between->mine, theirs, shares[3 - i]) &&
                      gr_keys_share(between->mine, other_seal(between), shares[3]);
    if (good) {
        start(&digest, "granary session 1", between);
        gr_digest_add(&digest, between->at_coordinator ? theirs : mine->public_key, GR_KEY_BYTES);
        gr_digest_add(&digest, between->at_coordinator ? mine->public_key : theirs, GR_KEY_BYTES);
        gr_digest_add(&digest, shares, sizeof shares);
        gr_digest_finish(&digest, master);
        crypto_kdf_derive_from_key(to_coordinator, GR_KEY_BYTES, 1, "grletter", master);
        crypto_kdf_derive_from_key(to_site, GR_KEY_BYTES, 2, "grletter", master);
    }
    sodium_memzero(&digest, sizeof digest);
    sodium_memzero(shares, sizeof shares);
    sodium_memzero(master, sizeof master);
    return good;
}
