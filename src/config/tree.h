/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A config as a tree: sections of keyed nodes, lists, scalars, each knowing the place it came from.
 * Built from libyaml's events and not from its documents, for three reasons: a value may come from
 * the command line or from a default, which a document has no place for; what nobody needs in a
 * config (anchors, tags, depth, further documents) is refused before it costs memory or time; and
 * a document is gone once it has been emitted.
 */
#ifndef GR_CONFIG_TREE_H
#define GR_CONFIG_TREE_H

#include <granary/config.h>

enum {
    GR_TREE_DEPTH_MAX = 8,
    GR_TREE_NODES_MAX = 500000, /* of the fit of 10,000 columns with their categories */
    GR_TREE_KEY_MAX = 64,       /* bytes of a key that can be meant */
};

/* Line 0: neither a line nor a column (an override, a default, a missing key). */
struct gr_place {
    size_t line;
    const char *override; /* "section.key=value" it was given by, or NULL; borrowed */
};

enum gr_node_kind { GR_NODE_SCALAR, GR_NODE_LIST, GR_NODE_SECTION };

struct gr_node {
    enum gr_node_kind kind;
    bool quoted; /* scalar: written in quotes, so that "null" is text */
    bool broken; /* a rule on it is broken: its value is a filler, no further rule looks at it */
    struct gr_place place;
    char *key; /* in a section; owned */
    size_t key_length;
    char *text; /* scalar; owned, with a NUL behind it */
    size_t length;
    struct gr_node *child, *last_child; /* owned */
    struct gr_node *next;               /* sibling */
    size_t n_children;
};

/* key and text may be NULL. */
gr_status gr_node_create(enum gr_node_kind kind, const char *key, const char *text,
                         struct gr_node **out) GR_CHECKED;
gr_status gr_node_set_text(struct gr_node *node, const char *text, size_t length) GR_CHECKED;
void gr_node_append(struct gr_node *parent, struct gr_node *child);
/* Makes a child at its parent's place, text (if not NULL) quoted, and appends it. */
gr_status gr_node_add(struct gr_node *parent, enum gr_node_kind kind, const char *key,
                      const char *text, struct gr_node **out) GR_CHECKED;
/* Removes *link, the `child` or a `next` in `parent`, and frees it. */
void gr_node_remove(struct gr_node *parent, struct gr_node **link, struct gr_node *previous);
/* Takes the first child with that key out of `parent`; the caller's, or NULL: there is none. */
struct gr_node *gr_node_detach(struct gr_node *parent, const char *key);
/* Gives `node`, which keeps its key and its siblings, the value and place of `from`, freed. */
void gr_node_take(struct gr_node *node, struct gr_node *from);
/* Leaves a node with key and place but without value. */
void gr_node_clear(struct gr_node *node);
void gr_node_free(struct gr_node *node); /* NULL accepted */

/* The first child with that key, or NULL. */
struct gr_node *gr_node_child(const struct gr_node *section, const char *key, size_t length);
/* The node at "data.partition.alpha", or NULL. */
struct gr_node *gr_node_at(struct gr_node *root, const char *path);
/* True for a scalar left empty, ~ or null. */
bool gr_node_is_nothing(const struct gr_node *node);

/*
 * Parses one YAML document. Empty text gives an empty section for a file and an empty scalar for
 * an override. Errors: GR_ERROR_CONFIG with "NAME:LINE:COLUMN: ...".
 */
gr_status gr_tree_parse(const char *name, const char *override, const char *text, size_t length,
                        struct gr_node **out) GR_CHECKED;

/* YAML of a tree. Caller releases with gr_free. */
gr_status gr_tree_emit(const struct gr_node *root, char **out, size_t *length) GR_CHECKED;

#endif
