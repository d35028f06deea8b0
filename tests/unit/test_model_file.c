/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model files: what is written comes back; h5py opens them; Python's hashlib finds the same digests
 * for the same pieces; nothing that is changed in them goes unseen. Then the parts: four digests at
 * once against libsodium's, the cut into pieces, and the deal to ranks.
 */
#include <granary/store.h>

#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <sodium.h>

#include "scratch.h"
#include "store/lanes.h"
#include "store/pieces.h"

struct sample {
    struct gr_layout layout;
    struct gr_state state;
};

/* Shapes with gaps between tensors; `wide`: a row of the last one is larger than a piece. */
static void make(struct sample *s, bool wide) {
    const size_t weight[2] = {7, 5}, bias[1] = {5}, kernel[4] = {2, 3, 4, 5};
    const size_t large[2] = {2, 1100000};
    memset(s, 0, sizeof *s);
    MUST(gr_layout_append(&s->layout, "dense0.weight", 2, weight));
    MUST(gr_layout_append(&s->layout, "dense0.bias", 1, bias));
    MUST(gr_layout_append(&s->layout, "a.kernel", 4, kernel));
    if (wide) MUST(gr_layout_append(&s->layout, "wide", 2, large));
    MUST(gr_allocate(s->layout.size, sizeof(float), "parameters", &s->state.parameters));
    MUST(gr_allocate(s->layout.size, sizeof(float), "momentum", &s->state.server[0]));
    MUST(gr_allocate_zero(3, sizeof(uint32_t), "rounds", &s->state.silo_rounds));
    for (size_t i = 0; i < s->layout.size; i++) {
        bool gap = !gr_layout_find(&s->layout, i);
        s->state.parameters[i] = gap ? 0.0F : (float)sin((double)i);
        s->state.server[0][i] = gap ? 0.0F : -(float)i;
    }
    s->state.round = 12;
    s->state.layout = &s->layout;
    s->state.n_server = 1;
    s->state.server_name[0] = "momentum";
    s->state.n_silos = 3;
    s->state.architecture = "{\"type\":\"mlp\"}";
    memset(s->state.config_digest, 0xab, GR_DIGEST_BYTES);
}

static void release(struct sample *s) {
    gr_free(s->state.silo_rounds);
    gr_free(s->state.server[0]);
    gr_free(s->state.parameters);
    gr_layout_release(&s->layout);
}

START_TEST(comes_back) {
    struct sample s;
    struct gr_model_file file;
    make(&s, true);
    MUST(gr_model_file_write(in_scratch("m.h5"), &s.state));
    ck_assert(!exists(in_scratch("m.h5.tmp")));
    MUST(gr_model_file_read(in_scratch("m.h5"), 0, 1, &file));
    ck_assert_uint_eq(file.round, 12);
    ck_assert_str_eq(file.format, "granary-model");
    ck_assert_str_eq(file.architecture, "{\"type\":\"mlp\"}");
    ck_assert_int_eq(strncmp(file.config_digest, "abab", 4), 0);
    ck_assert_uint_eq(strlen(file.config_digest), 64);
    ck_assert(file.digests_match);
    ck_assert_uint_eq(file.n_server, 1);
    ck_assert_uint_eq(file.n_silos, 3);
    ck_assert(gr_layout_equal(&file.layout, &s.layout));
    ck_assert_mem_eq(file.parameters, s.state.parameters, s.layout.size * sizeof(float));
    gr_model_file_release(&file);
    release(&s);
}
END_TEST

/* An architecture that no attribute of HDF5 could hold, as of 10,000 embedded columns. */
START_TEST(long_architecture) {
    struct sample s;
    struct gr_model_file file;
    static const size_t lengths[] = {59999, 60000, 60001, 200000};
    static char text[200001];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memset(text, 'x', lengths[i]);
        text[lengths[i]] = '\0';
        make(&s, false);
        s.state.architecture = text;
        MUST(gr_model_file_write(in_scratch("m.h5"), &s.state));
        MUST(gr_model_file_read(in_scratch("m.h5"), 0, 1, &file));
        ck_assert_str_eq(file.architecture, text);
        gr_model_file_release(&file);
        release(&s);
    }
}
END_TEST

static int version_of(const char *path) {
    int version = 0;
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t attribute = H5Aopen(file, "version", H5P_DEFAULT);
    ck_assert(attribute >= 0 && H5Aread(attribute, H5T_NATIVE_INT, &version) >= 0);
    H5Aclose(attribute);
    H5Fclose(file);
    return version;
}

/* A reader of version 1 alone, as older ones are, would pass over what is made of outputs. */
START_TEST(postprocessing_has_another_version) {
    static const char text[] = "{\"recalibration\": {}}";
    struct sample s;
    struct gr_model_file file;
    make(&s, false);
    MUST(gr_model_file_write(in_scratch("m.h5"), &s.state));
    ck_assert_int_eq(version_of(in_scratch("m.h5")), 1);
    MUST(gr_model_file_read(in_scratch("m.h5"), 0, 1, &file));
    ck_assert_ptr_null(file.postprocessing);
    gr_model_file_release(&file);
    s.state.postprocessing = text;
    MUST(gr_model_file_write(in_scratch("m.h5"), &s.state));
    ck_assert_int_eq(version_of(in_scratch("m.h5")), 2);
    MUST(gr_model_file_read(in_scratch("m.h5"), 0, 1, &file));
    ck_assert_str_eq(file.postprocessing, text);
    gr_model_file_release(&file);
    release(&s);
}
END_TEST

START_TEST(same_state_same_bytes) {
    struct sample s;
    size_t n, m;
    make(&s, false);
    MUST(gr_model_file_write(in_scratch("a.h5"), &s.state));
    MUST(gr_model_file_write(in_scratch("b.h5"), &s.state));
    char *a = slurp(in_scratch("a.h5"), &n), *b = slurp(in_scratch("b.h5"), &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(a, b, n);
    gr_free(b);
    gr_free(a);
    release(&s);
}
END_TEST

/* Another writer of the same file, held up with it open, does no harm when it wakes up. */
START_TEST(two_writers) {
    struct sample s;
    struct gr_model_file file;
    make(&s, false);
    const int held_up = open(in_scratch("m.h5.tmp"), O_RDWR | O_CREAT, 0644);
    ck_assert_int_ge(held_up, 0);
    MUST(gr_model_file_write(in_scratch("m.h5"), &s.state));
    ck_assert_int_eq(ftruncate(held_up, 0), 0);
    close(held_up);
    MUST(gr_model_file_read(in_scratch("m.h5"), 0, 1, &file));
    ck_assert(file.digests_match);
    gr_model_file_release(&file);
    release(&s);
}
END_TEST

START_TEST(python_agrees) {
    struct sample s;
    char command[4096];
    if (system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0) return;
    make(&s, true);
    MUST(gr_model_file_write(in_scratch("m.h5"), &s.state));
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c \"\n"
             "import h5py, hashlib, math\n"
             "f = h5py.File('%s', 'r')\n"
             "assert f['/global/parameters/dense0.weight'].shape == (7, 5)\n"
             "assert abs(f['/global/parameters/dense0.weight'][0, 3] - math.sin(3)) < 1e-7\n"
             "assert f['/global/server/momentum/dense0.weight'][1, 0] == -5\n"
             "assert f.attrs['format'] == b'granary-model' and f.attrs['round'] == 12\n"
             "found = [bytes(d) for d in f['/global/digests']]\n"
             "own = []\n"
             "for vector in ('/global/parameters', '/global/server/momentum'):\n"
             "    for name in ('dense0.weight', 'dense0.bias', 'a.kernel', 'wide'):\n"
             "        rows = f[vector][name][()]\n"
             "        rows = rows if name == 'wide' else [rows]\n"
             "        for row in rows:\n"
             "            b = row.tobytes()\n"
             "            own += [hashlib.blake2b(b[i:i+2**22], digest_size=32).digest()\n"
             "                    for i in range(0, len(b), 2**22)]\n"
             "assert found == own, (len(found), len(own))\n\"",
             in_scratch("m.h5"));
    ck_assert_int_eq(system(command), 0);
    release(&s);
}
END_TEST

START_TEST(every_byte_counts) {
    struct sample s;
    struct gr_model_file file;
    size_t length, seen[2] = {0, 0};
    make(&s, false);
    MUST(gr_model_file_write(in_scratch("m.h5"), &s.state));
    char *bytes = slurp(in_scratch("m.h5"), &length);
    for (size_t i = 0; i < length; i += 7) {
        char bit = (char)(1 << (i % 8));
        bytes[i] = (char)(bytes[i] ^ bit);
        spill(in_scratch("d.h5"), bytes, length);
        gr_status status = gr_model_file_read(in_scratch("d.h5"), 0, 1, &file);
        bytes[i] = (char)(bytes[i] ^ bit);
        ck_assert_msg(status == GR_ERROR_DATA || (status == GR_OK && !file.digests_match),
                      "byte %zu of %zu was changed and nobody saw it", i, length);
        seen[status == GR_OK]++;
        if (status == GR_OK) gr_model_file_release(&file);
    }
    /* Both kinds of byte were met. */
    ck_assert_uint_gt(seen[0], 100);
    ck_assert_uint_gt(seen[1], 50);
    gr_free(bytes);
    release(&s);
}
END_TEST

START_TEST(every_length_counts) {
    struct sample s;
    struct gr_model_file file;
    size_t length;
    make(&s, false);
    MUST(gr_model_file_write(in_scratch("m.h5"), &s.state));
    char *bytes = slurp(in_scratch("m.h5"), &length);
    for (size_t n = 0; n < length; n += 61) {
        spill(in_scratch("d.h5"), bytes, n);
        ck_assert_int_eq(gr_model_file_read(in_scratch("d.h5"), 0, 1, &file), GR_ERROR_DATA);
    }
    char *longer = calloc(1, length + 1);
    memcpy(longer, bytes, length);
    spill(in_scratch("d.h5"), longer, length + 1);
    ck_assert_int_eq(gr_model_file_read(in_scratch("d.h5"), 0, 1, &file), GR_ERROR_DATA);
    free(longer);
    gr_free(bytes);
    release(&s);
}
END_TEST

START_TEST(not_a_model) {
    struct gr_model_file file;
    char zeros[4096] = "";
    ck_assert_int_eq(gr_model_file_read(in_scratch("none"), 0, 1, &file), GR_ERROR_DATA);
    ck_assert_ptr_nonnull(strstr(gr_message(), "No such file"));
    ck_assert_int_eq(gr_model_file_read(scratch, 0, 1, &file), GR_ERROR_DATA);
    ck_assert_int_eq(gr_model_file_read("/dev/null", 0, 1, &file), GR_ERROR_DATA);
    spill(in_scratch("z"), zeros, sizeof zeros);
    ck_assert_int_eq(gr_model_file_read(in_scratch("z"), 0, 1, &file), GR_ERROR_DATA);
    ck_assert_ptr_nonnull(strstr(gr_message(), "not a granary model or checkpoint"));
}
END_TEST

START_TEST(cannot_write) {
    struct sample s;
    make(&s, false);
    ck_assert_int_eq(gr_model_file_write(in_scratch("none/m.h5"), &s.state), GR_ERROR_WRITE);
    /* What was there stays when a new file cannot take its place. */
    ck_assert_int_eq(mkdir(in_scratch("d.h5"), 0700), 0);
    ck_assert_int_eq(gr_model_file_write(in_scratch("d.h5"), &s.state), GR_ERROR_WRITE);
    ck_assert(!exists(in_scratch("d.h5.tmp")));
    release(&s);
}
END_TEST

START_TEST(lanes_agree) {
    unsigned char bytes[1100], expected[GR_DIGEST_BYTES], found[GR_LANES][GR_DIGEST_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 7);
    for (size_t n = 0; n <= 1025; n++) {
        const void *in[GR_LANES] = {bytes, bytes + 17, bytes + 33, bytes + 64};
        gr_digest_lanes(in, n, found);
        for (int lane = 0; lane < GR_LANES; lane++) {
            gr_digest_of(in[lane], n, expected);
            ck_assert_mem_eq(found[lane], expected, GR_DIGEST_BYTES);
        }
    }
}
END_TEST

/* The definition in granary help evidence, by libsodium. */
START_TEST(chunks_are_digests_of_digests) {
    static unsigned char bytes[22 * GR_CHUNK_BYTES];
    static const size_t sizes[] = {
        0,         1,         65536,         65537,          4 * 65536,     5 * 65536 + 7,
        7 * 65536, 8 * 65536, 8 * 65536 + 1, 13 * 65536 - 1, 21 * 65536 + 7};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 7 + i / 65536);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned char digests[22][32], expected[32], found[GR_DIGEST_BYTES];
        struct gr_digest digest;
        size_t n = 0;
        for (size_t at = 0; at < sizes[s]; at += 65536, n++)
            crypto_generichash(digests[n], 32, bytes + at,
                               sizes[s] - at < 65536 ? sizes[s] - at : 65536, NULL, 0);
        crypto_generichash(expected, 32, digests[0], 32 * n, NULL, 0);
        gr_digest_start(&digest);
        gr_digest_add_chunks(&digest, bytes, sizes[s]);
        gr_digest_finish(&digest, found);
        ck_assert_mem_eq(found, expected, 32);
    }
}
END_TEST

/* Pieces follow each other without gap or overlap, are boxes, and are at most 4 MiB. */
static void check_cut(size_t n_dims, const size_t *shape, size_t expected) {
    struct gr_layout layout = {0};
    struct gr_piece *pieces;
    size_t n, at = 0;
    MUST(gr_layout_append(&layout, "t", n_dims, shape));
    MUST(gr_pieces_create(&layout, 1, &pieces, &n));
    if (expected) ck_assert_uint_eq(n, expected);
    for (size_t i = 0; i < n; i++) {
        size_t start[GR_TENSOR_DIMS_MAX], count[GR_TENSOR_DIMS_MAX], first = 0, elements = 1;
        ck_assert_uint_eq(pieces[i].first, at);
        ck_assert_uint_le(pieces[i].n, GR_PIECE_BYTES / sizeof(float));
        at += pieces[i].n;
        gr_piece_box(&layout.tensors[0], &pieces[i], start, count);
        for (size_t d = 0; d < n_dims; d++) {
            ck_assert_uint_le(start[d] + count[d], shape[d]);
            first = first * shape[d] + start[d];
            elements *= count[d];
        }
        ck_assert_uint_eq(first, pieces[i].first);
        ck_assert_uint_eq(elements, pieces[i].n);
    }
    ck_assert_uint_eq(at, layout.n_parameters);
    gr_free(pieces);
    gr_layout_release(&layout);
}

START_TEST(cuts) {
    check_cut(1, (size_t[]){1}, 1);
    check_cut(1, (size_t[]){1 << 20}, 1);
    check_cut(1, (size_t[]){(1 << 20) + 1}, 2);
    check_cut(2, (size_t[]){1000, 10000}, 10); /* 104 rows each */
    check_cut(2, (size_t[]){3, 1100000}, 6);
    check_cut(3, (size_t[]){2, 3, 1 << 20}, 6);
    check_cut(4, (size_t[]){2, 2, 1500, 1000}, 8);
    check_cut(4, (size_t[]){1, 5, 1, 300000}, 2);
    check_cut(3, (size_t[]){7, 11, 13}, 1);
}
END_TEST

START_TEST(deal) {
    struct gr_layout layout = {0};
    struct gr_piece *pieces;
    size_t n;
    MUST(gr_layout_append(&layout, "a", 2, (size_t[]){1000, 10000}));
    MUST(gr_layout_append(&layout, "b", 1, (size_t[]){10}));
    MUST(gr_layout_append(&layout, "c", 2, (size_t[]){3000, 1000}));
    MUST(gr_pieces_create(&layout, 2, &pieces, &n));
    for (int size = 1; size <= 40; size++) {
        size_t at = 0, begin, end, most = 0;
        for (int rank = 0; rank < size; rank++) {
            size_t elements = 0;
            gr_pieces_share(pieces, n, rank, size, &begin, &end);
            ck_assert_uint_eq(begin, at);
            ck_assert_uint_le(begin, end);
            for (at = end; begin < end; begin++)
                elements += pieces[begin].n;
            most = elements > most ? elements : most;
        }
        ck_assert_uint_eq(at, n);
        ck_assert_uint_le(most, 2 * layout.n_parameters / (size_t)size + (1 << 20));
    }
    gr_free(pieces);
    gr_layout_release(&layout);
}
END_TEST

RUN_TESTS("model_file", comes_back, long_architecture, postprocessing_has_another_version,
          same_state_same_bytes, two_writers, python_agrees, every_byte_counts, every_length_counts,
          not_a_model, cannot_write, lanes_agree, chunks_are_digests_of_digests, cuts, deal)
