/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of a config's tree: a child is owned by its parent, in the order of the file. Searching
 * is linear, because sections are short; a list of a hundred thousand entries is only walked over,
 * and appended to at its end.
 */
#include "config/tree.h"

#include <string.h>

static gr_status copy_text(const char *text, size_t length, char **out) {
    gr_status status = gr_allocate(length + 1, 1, "a setting", out);
    if (status == GR_OK) {
        memcpy(*out, text, length);
        (*out)[length] = '\0';
    }
    return status;
}

/* The new text is made before the old one is freed, so that a failure changes nothing. */
gr_status gr_node_set_text(struct gr_node *node, const char *text, size_t length) {
    char *copy;
    gr_status status = copy_text(text, length, &copy);
    if (status != GR_OK) return status;
    gr_free(node->text);
    node->text = copy;
    node->length = length;
    return GR_OK;
}

gr_status gr_node_create(enum gr_node_kind kind, const char *key, const char *text,
                         struct gr_node **out) {
    gr_status status;
    struct gr_node *node = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *node, "a setting", &node));
    node->kind = kind;
    if (key) {
        node->key_length = strlen(key);
        GR_TRY(copy_text(key, node->key_length, &node->key));
    }
    if (text) GR_TRY(gr_node_set_text(node, text, strlen(text)));
    *out = node;
    node = NULL;
out:
    gr_node_free(node);
    return status;
}

/* Takes the child over. */
void gr_node_append(struct gr_node *parent, struct gr_node *child) {
    if (parent->last_child)
        parent->last_child->next = child;
    else
        parent->child = child;
    parent->last_child = child;
    parent->n_children++;
}

gr_status gr_node_add(struct gr_node *parent, enum gr_node_kind kind, const char *key,
                      const char *text, struct gr_node **out) {
    gr_status status = gr_node_create(kind, key, text, out);
    if (status != GR_OK) return status;
    (*out)->quoted = text != NULL;
    (*out)->place = parent->place;
    gr_node_append(parent, *out);
    return GR_OK;
}

/* `previous` is asked of the caller, who has it: the list is linked one way. */
void gr_node_remove(struct gr_node *parent, struct gr_node **link, struct gr_node *previous) {
    struct gr_node *node = *link;
    *link = node->next;
    if (parent->last_child == node) parent->last_child = previous;
    parent->n_children--;
    gr_node_free(node);
}

struct gr_node *gr_node_detach(struct gr_node *parent, const char *key) {
    struct gr_node **link = &parent->child, *previous = NULL;
    while (*link && (!(*link)->key || (*link)->key_length != strlen(key) ||
                     memcmp((*link)->key, key, (*link)->key_length) != 0)) {
        previous = *link;
        link = &previous->next;
    }
    struct gr_node *node = *link;
    if (!node) return NULL;
    *link = node->next;
    if (parent->last_child == node) parent->last_child = previous;
    parent->n_children--;
    node->next = NULL;
    return node;
}

void gr_node_clear(struct gr_node *node) {
    for (struct gr_node *child = node->child, *next; child; child = next) {
        next = child->next;
        gr_node_free(child);
    }
    node->child = node->last_child = NULL;
    node->n_children = 0;
    gr_free(node->text);
    node->text = NULL;
    node->length = 0;
    node->quoted = false;
}

/* `from` is emptied before it is freed: its text and children now belong to `node`. Keys and
 * siblings stay where they are, as the tree's shape does not change. */
void gr_node_take(struct gr_node *node, struct gr_node *from) {
    gr_node_clear(node);
    node->kind = from->kind;
    node->quoted = from->quoted;
    node->broken = from->broken;
    node->place = from->place;
    node->text = from->text;
    node->length = from->length;
    node->child = from->child;
    node->last_child = from->last_child;
    node->n_children = from->n_children;
    from->text = NULL;
    from->child = NULL;
    gr_node_free(from);
}

void gr_node_free(struct gr_node *node) {
    if (!node) return;
    gr_node_clear(node);
    gr_free(node->key);
    gr_free(node);
}

struct gr_node *gr_node_child(const struct gr_node *section, const char *key, size_t length) {
    for (struct gr_node *child = section->child; child; child = child->next)
        if (child->key && child->key_length == length && memcmp(child->key, key, length) == 0)
            return child;
    return NULL;
}

/* Lists are not entered: "faults[0].kind" finds nothing. */
struct gr_node *gr_node_at(struct gr_node *root, const char *path) {
    struct gr_node *node = root;
    while (node && *path) {
        size_t length = strcspn(path, ".");
        node = gr_node_child(node, path, length);
        path += length + (path[length] == '.');
    }
    return node;
}

/* The words of YAML 1.1's null; quoted they are texts. */
bool gr_node_is_nothing(const struct gr_node *node) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != GR_NODE_SCALAR || node->quoted) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (node->length == strlen(words[i]) && memcmp(node->text, words[i], node->length) == 0)
            return true;
    return false;
}
