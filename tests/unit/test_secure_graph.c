/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbours of secure sums. Expected: numbers of neighbours and shares from the same bounds in
 * whole numbers of any length (Python: math.comb, each tail as a fraction); of the graph what its
 * definition says, by search.
 */
#include "privacy/secure_graph.h"

#include "scratch.h"

static uint64_t draws;
static uint32_t draw(uint32_t below) {
    const struct gr_stream_key key = {
        .seed = 17, .purpose = GR_PURPOSE_TEST, .round = (uint32_t)draws++};
    uint32_t word;
    gr_stream_words(key, 0, &word, 1);
    return word % below;
}

/* ---- how many ---------------------------------------------------------------------------------
 */

/* degree.neighbours 0: there is no such number. */
static const struct {
    struct gr_secure_degree_of of;
    struct gr_secure_degree degree;
} degrees[] = {{{3, 3, 0, 0}, {2, 3, 0}},
               {{64, 43, 0, 0}, {63, 43, 0}},
               {{65, 44, 0, 0}, {52, 31, 5}},
               {{65, 44, 6, 0}, {56, 35, 7}},
               {{65, 44, 22, 0}, {64, 44, 0}},
               {{80, 54, 0, 0}, {58, 32, 5}},
               {{80, 54, 0, 60}, {60, 34, 5}},
               {{80, 54, 0, 61}, {62, 36, 6}},
               {{80, 73, 8, 0}, {32, 25, 9}},
               {{100, 67, 0, 0}, {68, 35, 6}},
               {{100, 67, 10, 0}, {84, 51, 11}},
               {{100, 67, 33, 0}, {99, 67, 0}},
               {{100, 91, 10, 0}, {40, 31, 11}},
               {{100, 100, 5, 0}, {12, 12, 6}},
               {{256, 171, 25, 0}, {160, 80, 26}},
               {{256, 171, 60, 0}, {254, 169, 56}},
               {{1000, 667, 0, 0}, {188, 77, 27}},
               {{1000, 667, 100, 0}, {252, 115, 43}},
               {{1000, 667, 130, 0}, {0, 0, 0}},
               {{1000, 900, 200, 0}, {166, 117, 49}},
               {{1000, 501, 0, 0}, {0, 0, 0}},
               {{1024, 683, 0, 0}, {190, 78, 27}},
               {{1024, 683, 0, 240}, {240, 108, 40}},
               {{1024, 922, 102, 0}, {114, 74, 29}},
               {{1024, 683, 341, 0}, {0, 0, 0}}};

START_TEST(the_bound) {
    struct gr_secure_degree found = {0};
    const struct gr_secure_degree *expected = &degrees[_i].degree;
    const gr_status status = gr_secure_degree(&degrees[_i].of, &found);
    if (expected->neighbours == 0) {
        ck_assert_int_eq(status, GR_ERROR_CONFIG);
        ck_assert_ptr_nonnull(strstr(gr_message(), "more than 254 neighbours"));
        return;
    }
    ck_assert_int_eq(status, GR_OK);
    ck_assert_uint_eq(found.neighbours, expected->neighbours);
    ck_assert_uint_eq(found.shares, expected->shares);
    ck_assert_uint_eq(found.in_run, expected->in_run);
}
END_TEST

/* ---- the ring ---------------------------------------------------------------------------------
 */

static struct gr_secure_graph graph;

/* Of n parties of the first 3n/2, every second one at first. */
static void draw_graph(uint32_t n, uint32_t threshold, uint32_t colluding) {
    struct gr_party_set listed = {0};
    struct gr_secure_degree degree;
    unsigned char seed[GR_DIGEST_BYTES] = {0};
    const struct gr_secure_degree_of of = {n, threshold, colluding, 0};
    for (uint32_t i = 0; i < n; i++)
        gr_party_set_add(&listed, i < n / 2 ? 2 * i : n / 2 + i);
    for (uint32_t i = 0; i < 4; i++)
        seed[i] = (unsigned char)draw(256);
    MUST(gr_secure_degree(&of, &degree));
    gr_secure_graph_draw(&listed, &degree, seed, &graph);
    ck_assert_uint_eq(graph.n, n);
}

static void check_graph(uint32_t n, uint32_t threshold) {
    draw_graph(n, threshold, 0);
    uint32_t n_listed = 0;
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        struct gr_party_set around;
        gr_secure_graph_around(&graph, p, &around);
        const uint32_t count = gr_party_set_count(&around);
        ck_assert_uint_eq(count, graph.place[p] < n ? graph.degree.neighbours + 1 : 0);
        ck_assert(gr_party_set_has(&around, p) == (count > 0));
        n_listed += count > 0;
        for (uint32_t q = 0; q < 3 * n / 2; q++) {
            ck_assert(gr_secure_graph_joins(&graph, p, q) == gr_secure_graph_joins(&graph, q, p));
            ck_assert(gr_secure_graph_joins(&graph, p, q) == gr_party_set_has(&around, q));
        }
    }
    ck_assert_uint_eq(n_listed, n);
    ck_assert(!gr_secure_graph_joins(&graph, GR_SECURE_PARTIES_MAX, 0));
}

START_TEST(each_has_as_many_neighbours) {
    static const uint32_t sizes[][2] = {{3, 3},   {4, 3},   {63, 43},  {64, 43},
                                        {65, 65}, {66, 45}, {100, 67}, {681, 455}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_graph(sizes[i][0], sizes[i][1]);
}
END_TEST

/* Places of one party, and of the party behind it: chi-square of 69 degrees of freedom, whose
 * quantile of 1 - 1e-9 is 156 (gsl_cdf_chisq_Pinv). */
START_TEST(no_place_is_likelier) {
    enum { N = 70, GRAPHS = 14000 };
    uint32_t seen[2][N] = {{0}};
    for (int i = 0; i < GRAPHS; i++) {
        draw_graph(N, 47, 0);
        seen[0][graph.place[4]]++;
        seen[1][(graph.place[4] + N - graph.place[6]) % N]++;
    }
    ck_assert_uint_eq(seen[1][0], 0);
    for (int kind = 0; kind < 2; kind++) {
        const double expected = (double)GRAPHS / (N - kind);
        double chi_square = 0;
        for (int v = kind; v < N; v++)
            chi_square += (seen[kind][v] - expected) * (seen[kind][v] - expected) / expected;
        ck_assert_double_lt(chi_square, 156);
    }
}
END_TEST

/* ---- who is lost ------------------------------------------------------------------------------
 */

/* As many as may be, by chance: the rest can hide each other, and open every secret. */
START_TEST(whoever_is_lost_by_chance) {
    static const uint32_t sizes[][2] = {{65, 44}, {80, 54}, {100, 67}, {100, 91}, {600, 401}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int times = 0; times < 40; times++) {
            struct gr_party_set left = {0};
            uint32_t n = 0;
            draw_graph(sizes[i][0], sizes[i][1], 0);
            while (n < sizes[i][1]) {
                const uint32_t p = graph.party[draw(graph.n)];
                n += !gr_party_set_has(&left, p);
                gr_party_set_add(&left, p);
            }
            ck_assert(gr_secure_graph_holds(&graph, &left));
            for (uint32_t place = 0; place < graph.n; place++) {
                uint32_t there = 0;
                for (uint32_t q = 0; q < graph.n; q++)
                    there += q != place && gr_party_set_has(&left, graph.party[q]) &&
                             gr_secure_graph_joins(&graph, graph.party[place], graph.party[q]);
                ck_assert_uint_ge(there, graph.degree.shares);
            }
        }
}
END_TEST

/* Parties that can be reached from the first of the set, by neighbours in it. */
static uint32_t reached(const struct gr_party_set *set) {
    struct gr_party_set seen = {0};
    uint32_t queue[GR_SECURE_PARTIES_MAX], n = 0;
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX && n == 0; p++)
        if (gr_party_set_has(set, p)) queue[n++] = p;
    gr_party_set_add(&seen, queue[0]);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++)
            if (gr_party_set_has(set, p) && !gr_party_set_has(&seen, p) &&
                gr_secure_graph_joins(&graph, queue[i], p)) {
                gr_party_set_add(&seen, p);
                queue[n++] = p;
            }
    return n;
}

/*
 * A liar who knows the graph cuts the ring at two runs: of each it says that all are lost but
 * in_run of them, of whom in_run - 1 collude. The others are still joined to each other. One fewer
 * in any run is refused; and it would have cut them off, so that the rule is the one that is
 * needed.
 */
START_TEST(whoever_is_said_to_be_lost) {
    enum { N = 600, THRESHOLD = 401 };
    for (int times = 0; times < 20; times++) {
        struct gr_party_set summed = {0}, honest = {0}, fewer = {0}, rest = {0};
        draw_graph(N, THRESHOLD, 30);
        const uint32_t run = graph.degree.neighbours / 2, in_run = graph.degree.in_run,
                       first = draw(N);
        for (uint32_t i = 0; i < N; i++) {
            const uint32_t p = graph.party[(first + i) % N], at = i % (N / 2);
            if (at >= in_run && at < run) continue;
            gr_party_set_add(&summed, p);
            if (at != in_run - 1) gr_party_set_add(&fewer, p);
            if (at < in_run - 1) continue;
            gr_party_set_add(&honest, p);
            if (at != in_run - 1) gr_party_set_add(&rest, p);
        }
        ck_assert_uint_ge(gr_party_set_count(&fewer), THRESHOLD); /* it may say so */
        ck_assert(gr_secure_graph_holds(&graph, &summed));
        ck_assert_uint_eq(reached(&honest), gr_party_set_count(&honest));
        ck_assert(!gr_secure_graph_holds(&graph, &fewer));
        ck_assert_uint_eq(reached(&rest), gr_party_set_count(&rest) / 2);
    }
}
END_TEST

/* Beyond that nobody looks: among up to 64 all are joined. */
START_TEST(a_complete_graph_holds) {
    struct gr_party_set summed = {0};
    draw_graph(64, 43, 0);
    gr_party_set_add(&summed, graph.party[7]);
    ck_assert(gr_secure_graph_holds(&graph, &summed));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("neighbours of secure sums");
    TCase *tcase = tcase_create("neighbours of secure sums");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, the_bound, 0, (int)(sizeof degrees / sizeof *degrees));
    tcase_add_test(tcase, each_has_as_many_neighbours);
    tcase_add_test(tcase, no_place_is_likelier);
    tcase_add_test(tcase, whoever_is_lost_by_chance);
    tcase_add_test(tcase, whoever_is_said_to_be_lost);
    tcase_add_test(tcase, a_complete_graph_holds);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
