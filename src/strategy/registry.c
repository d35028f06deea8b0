/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which strategies there are, and the settings that they bring. A config holds the settings' values
 * by their place in this list, so that a place must never change once it has been given out:
 * strategies and settings are only ever added at the end. The lists are not locked; programs
 * register before they read a config, in one thread.
 */
#include <granary/strategy.h>

#include <string.h>

#include "strategy_list.h"

/* ---- a row for each, which the Makefile finds in strategy_*.c ------------------------------- */

#define DECLARE(name) extern const struct gr_strategy gr_strategy_##name;
STRATEGIES(DECLARE)
#define POINT(name) &gr_strategy_##name,
static const struct gr_strategy *const built_in[] = {STRATEGIES(POINT)};
#define PLACE(name) PLACE_##name,

/* ---- the list ------------------------------------------------------------------------------- */

enum { STRATEGIES(PLACE) BUILT_IN, MORE_MAX = (int)GR_STRATEGIES_MAX - (int)BUILT_IN };
_Static_assert((int)BUILT_IN < (int)GR_STRATEGIES_MAX, "there is room for others");

/* Registered by a program. */
static const struct gr_strategy *more[MORE_MAX];
static size_t n_more;

/* Settings in the order in which strategies name them first. */
static const struct gr_strategy_setting *settings[GR_STRATEGY_SETTINGS_MAX];
static size_t n_settings, n_seen; /* of so many strategies */

const struct gr_strategy *gr_strategy_at(size_t i) {
    if (i < BUILT_IN) return built_in[i];
    return i - BUILT_IN < n_more ? more[i - BUILT_IN] : NULL;
}

const struct gr_strategy *gr_strategy_find(const char *name) {
    const struct gr_strategy *strategy;
    for (size_t i = 0; name && (strategy = gr_strategy_at(i)); i++)
        if (strcmp(strategy->name, name) == 0) return strategy;
    return NULL;
}

/* ---- settings ------------------------------------------------------------------------------- */

/* Of the settings collected so far; GR_STRATEGY_SETTINGS_MAX: of none. */
static size_t index_of(const char *name) {
    for (size_t i = 0; i < n_settings; i++)
        if (strcmp(settings[i]->name, name) == 0) return i;
    return GR_STRATEGY_SETTINGS_MAX;
}

/* Of strategies that have become known since it was last called. */
static void collect_settings(void) {
    const struct gr_strategy *strategy;
    for (; (strategy = gr_strategy_at(n_seen)); n_seen++)
        for (size_t s = 0; s < GR_STRATEGY_OWN_MAX && strategy->setting[s]; s++)
            if (index_of(strategy->setting[s]->name) == GR_STRATEGY_SETTINGS_MAX &&
                n_settings < GR_STRATEGY_SETTINGS_MAX)
                settings[n_settings++] = strategy->setting[s];
}

const struct gr_strategy_setting *gr_strategy_setting_at(size_t i) {
    collect_settings();
    return i < n_settings ? settings[i] : NULL;
}

size_t gr_strategy_setting_index(const char *name) {
    collect_settings();
    return index_of(name);
}

double gr_strategy_get(const struct gr_strategy_config *config, const char *name) {
    const size_t i = gr_strategy_setting_index(name);
    return i < GR_STRATEGY_SETTINGS_MAX ? config->setting[i] : 0;
}

void gr_strategy_set(struct gr_strategy_config *config, const char *name, double value) {
    const size_t i = gr_strategy_setting_index(name);
    if (i < GR_STRATEGY_SETTINGS_MAX) config->setting[i] = value;
}

/* ---- registration --------------------------------------------------------------------------- */

static bool is_name(const char *name) {
    const size_t n = name ? strlen(name) : 0;
    return n > 0 && n < GR_STRATEGY_NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* Two strategies with one key share one definition, compared by its address: a config has one value
 * for it, with one default and one range. "name" is the key that names the strategy. */
static gr_status check_settings(const struct gr_strategy *strategy) {
    size_t n_new = 0;
    for (size_t s = 0; s < GR_STRATEGY_OWN_MAX && strategy->setting[s]; s++) {
        const struct gr_strategy_setting *own = strategy->setting[s];
        if (!is_name(own->name) || strcmp(own->name, "name") == 0 || !own->standard)
            return gr_fail(GR_ERROR_USAGE,
                           "strategy %s: found a setting that has no name or no "
                           "default",
                           strategy->name);
        const size_t i = gr_strategy_setting_index(own->name);
        n_new += i == GR_STRATEGY_SETTINGS_MAX;
        if (i < GR_STRATEGY_SETTINGS_MAX && settings[i] != own)
            return gr_fail(GR_ERROR_USAGE,
                           "strategy %s: setting %s is another strategy's; share its definition "
                           "(gr_strategy_setting_at) or name it otherwise",
                           strategy->name, own->name);
    }
    if (n_settings + n_new > GR_STRATEGY_SETTINGS_MAX)
        return gr_fail(GR_ERROR_USAGE,
                       "strategy %s: found %zu settings of all strategies, allowed "
                       "at most %d",
                       strategy->name, n_settings + n_new, GR_STRATEGY_SETTINGS_MAX);
    return GR_OK;
}

gr_status gr_strategy_register(const struct gr_strategy *strategy) {
    gr_status status = GR_OK;
    if (!is_name(strategy->name))
        return gr_fail(GR_ERROR_USAGE,
                       "strategy: found a name that is not 1 to %d lower-case "
                       "letters, digits and \"_\"",
                       GR_STRATEGY_NAME_BYTES - 1);
    if (gr_strategy_find(strategy->name))
        return gr_fail(GR_ERROR_USAGE, "strategy %s: the name is taken", strategy->name);
    /* `corrects` reads kept[0]. `combine` sees one vector a silo: the transposition brings the
     * updates side by side, and none of the further vectors. */
    if (!strategy->step || strategy->n_sent > GR_STRATEGY_SENT_MAX ||
        strategy->n_kept > GR_STRATEGY_KEPT_MAX || strategy->n_server > GR_STRATEGY_SERVER_MAX ||
        (strategy->corrects && strategy->n_kept == 0) ||
        (strategy->combine && strategy->n_sent > 1))
        return gr_fail(GR_ERROR_USAGE, "strategy %s: it has no step, or vectors that it must not",
                       strategy->name);
    GR_TRY(check_settings(strategy));
    if (n_more == MORE_MAX)
        return gr_fail(GR_ERROR_USAGE, "strategy %s: found %d strategies already", strategy->name,
                       GR_STRATEGIES_MAX);
    more[n_more++] = strategy;
out:
    return status;
}
