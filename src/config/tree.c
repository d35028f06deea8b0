/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to a tree and back, through libyaml's events. Everything that could make a small file large
 * in memory or long in time is refused here, at the event where it appears, because a config may
 * come from somebody else: aliases, tags, depth, numbers of nodes, further documents.
 */
#include "config/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

enum { TAG_DIRECTIVES_MAX = 16 };

/* The tree under construction: open[0..depth-1] are the sections and lists around the next event.
 */
struct builder {
    const char *name, *override;
    const char *text;
    size_t length;
    yaml_parser_t parser;
    struct gr_node *root; /* owned */
    struct gr_node *open[GR_TREE_DEPTH_MAX];
    size_t depth;
    struct gr_node *waiting; /* a key of open[depth - 1] without its value */
    size_t n_nodes, n_documents;
};

_Static_assert(GR_TREE_DEPTH_MAX == 8 && GR_TREE_NODES_MAX == 500000, "stand in messages below");

/* libyaml counts lines and columns from 0, people from 1. */
static gr_status refuse(const struct builder *b, yaml_mark_t mark, const char *what) {
    return gr_fail(GR_ERROR_CONFIG, "%s:%zu:%zu: %s", b->name, mark.line + 1, mark.column + 1,
                   what);
}

static gr_status parser_failure(const struct builder *b) {
    const yaml_parser_t *p = &b->parser;
    yaml_mark_t mark = p->problem_mark;
    const char *problem = p->problem ? p->problem : "it cannot be read";
    if (p->error == YAML_MEMORY_ERROR)
        return gr_fail(GR_ERROR_INTERNAL, "%s: memory was refused", b->name);
    if (p->error == YAML_READER_ERROR) {
        /* The reader runs ahead of the marks and knows an offset only. */
        memset(&mark, 0, sizeof mark);
        for (size_t i = 0; i < p->problem_offset && i < b->length; i++) {
            mark.line += b->text[i] == '\n';
            mark.column = b->text[i] == '\n' ? 0 : mark.column + 1;
        }
    }
    if (p->context && p->context_mark.line != mark.line)
        return gr_fail(GR_ERROR_CONFIG, "%s:%zu:%zu: %s (%s that starts in line %zu)", b->name,
                       mark.line + 1, mark.column + 1, problem, p->context,
                       p->context_mark.line + 1);
    return gr_fail(GR_ERROR_CONFIG, "%s:%zu:%zu: %s", b->name, mark.line + 1, mark.column + 1,
                   problem);
}

static gr_status add_key(struct builder *b, const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    gr_status status = gr_node_create(GR_NODE_SCALAR, "", NULL, &b->waiting);
    if (status != GR_OK) return status;
    struct gr_node *node = b->waiting;
    node->place = (struct gr_place){event->start_mark.line + 1, b->override};
    gr_node_append(b->open[b->depth - 1], node);
    /* The key goes by way of the text, which takes a length: a key may hold a NUL. */
    status = gr_node_set_text(node, text, event->data.scalar.length);
    if (status != GR_OK) return status;
    gr_free(node->key);
    node->key = node->text;
    node->key_length = node->length;
    node->text = NULL;
    node->length = 0;
    return GR_OK;
}

/* Puts a value of `kind` where the next one belongs, and opens it if it can hold others. */
static gr_status add_value(struct builder *b, const yaml_event_t *event, enum gr_node_kind kind) {
    gr_status status = GR_OK;
    struct gr_node *node = b->waiting;
    if (kind != GR_NODE_SCALAR && b->depth == GR_TREE_DEPTH_MAX)
        return refuse(b, event->start_mark, "found values nested too deep, allowed 8 levels");
    if (!node) {
        status = gr_node_create(kind, NULL, NULL, &node);
        if (status != GR_OK) return status;
        node->place = (struct gr_place){event->start_mark.line + 1, b->override};
        if (b->depth > 0)
            gr_node_append(b->open[b->depth - 1], node);
        else
            b->root = node;
    }
    b->waiting = NULL;
    node->kind = kind;
    if (kind == GR_NODE_SCALAR) {
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        return gr_node_set_text(node, (const char *)event->data.scalar.value,
                                event->data.scalar.length);
    }
    b->open[b->depth++] = node;
    return GR_OK;
}

/* In a section keys and values take turns: `waiting` is the key whose value is next. */
static gr_status add_node(struct builder *b, const yaml_event_t *event, enum gr_node_kind kind,
                          const yaml_char_t *anchor, const yaml_char_t *tag) {
    bool key = b->depth > 0 && b->open[b->depth - 1]->kind == GR_NODE_SECTION && !b->waiting;
    if (anchor) return refuse(b, event->start_mark, "found an anchor (&), allowed none");
    if (tag) return refuse(b, event->start_mark, "found a tag (!), allowed none");
    if (key && kind != GR_NODE_SCALAR)
        return refuse(b, event->start_mark,
                      "found a list or section as key, allowed the name of a setting");
    if (++b->n_nodes > GR_TREE_NODES_MAX)
        return refuse(b, event->start_mark, "found more than 500000 keys and values");
    return key ? add_key(b, event) : add_value(b, event, kind);
}

/* No aliases and one document: an alias could make a small file a tree of any size. */
static gr_status add_event(struct builder *b, const yaml_event_t *event) {
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++b->n_documents > 1)
            return refuse(b, event->start_mark, "found a second document, allowed one");
        return GR_OK;
    case YAML_ALIAS_EVENT:
        return refuse(b, event->start_mark, "found an alias (*), allowed none");
    case YAML_SCALAR_EVENT:
        return add_node(b, event, GR_NODE_SCALAR, event->data.scalar.anchor,
                        event->data.scalar.tag);
    case YAML_SEQUENCE_START_EVENT:
        return add_node(b, event, GR_NODE_LIST, event->data.sequence_start.anchor,
                        event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return add_node(b, event, GR_NODE_SECTION, event->data.mapping_start.anchor,
                        event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return GR_OK;
    default:
        return GR_OK;
    }
}

gr_status gr_tree_parse(const char *name, const char *override, const char *text, size_t length,
                        struct gr_node **out) {
    gr_status status = GR_OK;
    struct builder b = {.name = name, .override = override, .text = text, .length = length};
    bool ended = false;
    size_t tags = 0;
    *out = NULL;
    /* Counted in comments and texts as well: sixteen of them are more than anybody writes. */
    for (const char *at = text; (at = memmem(at, length - (size_t)(at - text), "%TAG", 4)); at += 4)
        tags++;
    /* libyaml compares each such directive with all before it. */
    if (tags > TAG_DIRECTIVES_MAX)
        return gr_fail(GR_ERROR_CONFIG, "%s:1:1: found %%TAG %zu times, allowed no tags", name,
                       tags);
    if (!yaml_parser_initialize(&b.parser))
        return gr_fail(GR_ERROR_INTERNAL, "%s: memory was refused", name);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, length);
    while (!ended) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b.parser, &event)) {
            status = parser_failure(&b);
            goto out;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        status = add_event(&b, &event);
        yaml_event_delete(&event);
        if (status != GR_OK) goto out;
    }
    if (!b.root) {
        enum gr_node_kind kind = override ? GR_NODE_SCALAR : GR_NODE_SECTION;
        GR_TRY(gr_node_create(kind, NULL, override ? "" : NULL, &b.root));
        b.root->place.override = override;
    }
    *out = b.root;
    b.root = NULL;
out:
    gr_node_free(b.root);
    yaml_parser_delete(&b.parser);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* libyaml's emitter takes the event over, also when it fails. */
static bool emit(yaml_emitter_t *emitter, int made, yaml_event_t *event) {
    return made && yaml_emitter_emit(emitter, event);
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, size_t length, bool quoted) {
    yaml_event_t event;
    unsigned char *value = NULL;
    /* libyaml's interface lacks a const: it copies. */
    memcpy(&value, &text, sizeof value);
    return emit(emitter,
                yaml_scalar_event_initialize(&event, NULL, NULL, value, (int)length, 1, 1,
                                             quoted ? YAML_SINGLE_QUOTED_SCALAR_STYLE
                                                    : YAML_PLAIN_SCALAR_STYLE),
                &event);
}

/* Lists of scalars are written in a line, "[64, 32]", as people write them; lists of sections are
 * not. */
static bool emit_node(yaml_emitter_t *emitter, const struct gr_node *node) {
    yaml_event_t event;
    bool section = node->kind == GR_NODE_SECTION;
    if (node->kind == GR_NODE_SCALAR)
        return emit_scalar(emitter, node->text, node->length, node->quoted);
    bool flow = !node->child || node->child->kind == GR_NODE_SCALAR;
    int made = section ? yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
                                                             YAML_BLOCK_MAPPING_STYLE)
                       : yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
                                                              flow ? YAML_FLOW_SEQUENCE_STYLE
                                                                   : YAML_BLOCK_SEQUENCE_STYLE);
    if (!emit(emitter, made, &event)) return false;
    for (const struct gr_node *child = node->child; child; child = child->next) {
        if (section && !emit_scalar(emitter, child->key, child->key_length, false)) return false;
        if (!emit_node(emitter, child)) return false;
    }
    made = section ? yaml_mapping_end_event_initialize(&event)
                   : yaml_sequence_end_event_initialize(&event);
    return emit(emitter, made, &event);
}

/* The document start is implicit: no "---" line. */
static bool emit_document(yaml_emitter_t *emitter, const struct gr_node *root) {
    yaml_event_t event;
    return emit(emitter, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event) &&
           emit(emitter, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1),
                &event) &&
           emit_node(emitter, root) &&
           emit(emitter, yaml_document_end_event_initialize(&event, 1), &event) &&
           emit(emitter, yaml_stream_end_event_initialize(&event), &event);
}

gr_status gr_tree_emit(const struct gr_node *root, char **out, size_t *length) {
    gr_status status = GR_OK;
    yaml_emitter_t emitter;
    char *written = NULL;
    size_t n = 0;
    bool good;
    *out = NULL;
    FILE *stream = open_memstream(&written, &n);
    if (!stream) return gr_fail(GR_ERROR_INTERNAL, "memory for a config's text was refused");
    if (!yaml_emitter_initialize(&emitter)) {
        status = gr_fail(GR_ERROR_INTERNAL, "memory for a config's text was refused");
        fclose(stream);
        goto out;
    }
    yaml_emitter_set_output_file(&emitter, stream);
    yaml_emitter_set_unicode(&emitter, 1);
    /* A long text stays one line: folded, it would be harder to search for. */
    yaml_emitter_set_width(&emitter, -1);
    good = emit_document(&emitter, root);
    if (!good)
        status = gr_fail(GR_ERROR_INTERNAL, "a config's text: %s",
                         emitter.problem ? emitter.problem : "memory was refused");
    yaml_emitter_delete(&emitter);
    if (fclose(stream) != 0 && good)
        status = gr_fail(GR_ERROR_INTERNAL, "memory for a config's text was refused");
    if (status != GR_OK) goto out;
    GR_TRY(gr_allocate(n + 1, 1, "a config's text", out));
    memcpy(*out, written, n);
    (*out)[n] = '\0';
    *length = n;
out:
    free(written);
    return status;
}
