/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config as text: the way to YAML and back, the digest, text that means harm, files, silence,
 * the program's language.
 */
#include "config.h"

#include "config/check.h"

#include <locale.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- to YAML and back, digest ------------------------------------------------------------- */

static const char rich[] = "run: {rounds: 2}\n"
                           "data: {source: hdf5, silos: 3, train: {file: a}, "
                           "partition: {method: dirichlet}}\n"
                           "model: {type: mlp, hidden: [12, 4]}\n"
                           "train: {learning_rate: 0.2, batch_size: 4, epochs: 1}\n";

/*
 * Every setting, written down a second time so that none can be forgotten: a value other than that
 * of `rich`, what else must change with it, and whether the header says that it may change between
 * a run and its resumption.
 */
static const struct {
    const char *changes[5];
    bool changeable;
} settings[] = {
    {{"run.name=other"}, true},
    {{"run.seed=18446744073709551615"}, false},
    {{"run.rounds=77"}, true},
    {{"run.directory=/somewhere else"}, true},
    {{"run.placement=cyclic"}, true},
    {{"data.source=idx", "data.train={features: a, labels: b}"}, false},
    {{"data.silos=4"}, false},
    {{"data.train={features: x, labels: b}", "data.source=idx"}, false},
    {{"data.train={labels: x, features: b}", "data.source=idx"}, false},
    {{"data.train.file=x"}, true},
    {{"data.silo_tables=[{file: x}, {file: y}, {file: z}]", "data.train={}",
      "data.partition.method=iid"},
     false},
    {{"data.test={features: x, labels: y}", "data.source=idx",
      "data.train={features: a, labels: b}"},
     false},
    {{"data.test={labels: x, features: y}", "data.source=idx",
      "data.train={features: a, labels: b}"},
     false},
    {{"data.test.file=x"}, true},
    {{"data.partition.method=shards"}, false},
    {{"data.partition.alpha=0.25"}, false},
    {{"data.partition.shards_per_silo=3"}, false},
    {{"data.partition.minimum_rows=3"}, false},
    {{"data.partition.column=centre"}, false},
    {{"data.csv.separator=tab"}, false},
    {{"data.csv.header=false", "data.source=csv", "data.schema=x"}, false},
    {{"data.csv.label=y"}, false},
    {{"data.schema=x"}, true},
    {{"data.disclosure_threshold=11"}, false},
    {{"preprocess.scale=standardise"}, false},
    {{"preprocess.scale=min_max"}, false},
    {{"preprocess.clip=true"}, false},
    {{"data.synthetic.alpha=0.125"}, false},
    {{"data.synthetic.beta=0.125"}, false},
    {{"data.synthetic.features=61"}, false},
    {{"data.synthetic.classes=11"}, false},
    {{"data.synthetic.minimum_rows=51"}, false},
    {{"data.synthetic.maximum_rows=2001"}, false},
    {{"data.synthetic.test_rows=21"}, false},
    {{"data.validation_fraction=0.5"}, false},
    {{"data.test_fraction=0.5", "data.test={}"}, false},
    {{"data.stratify=false"}, false},
    {{"data.limit=100"}, false},
    {{"model.type=softmax", "model.hidden=[]"}, false},
    {{"model.hidden=[12, 3]"}, false},
    {{"model.embedding=8"}, false},
    {{"model.type=bag", "model.embedding=8", "model.vocabulary=9"}, false},
    {{"model.activation=tanh"}, false},
    {{"model.initialisation=glorot"}, false},
    {{"model.compute=bfloat16"}, false},
    {{"model.loss=huber"}, false},
    {{"model.label_smoothing=0.1"}, false},
    {{"model.huber_delta=0.5"}, false},
    {{"model.layers=[{type: conv, filters: 3, kernel: 5, stride: 2, padding: same, activation: "
      "tanh}, {type: group_norm, groups: 3, activation: none}, {type: average_pool, kernel: 2}]",
      "model.type=cnn", "model.hidden=[]"},
     false},
    {{"model.layers=[{type: dropout, rate: 0.25}, {type: dense, width: 7}]", "model.type=cnn",
      "model.hidden=[]"},
     false},
    {{"train.learning_rate=0.2000000000000001"}, false},
    {{"train.momentum=0.5"}, false},
    {{"train.weight_decay=1e-4"}, false},
    {{"train.batch_size=33"}, false},
    {{"train.epochs=2"}, false},
    {{"train.steps=9", "train.epochs=0"}, false},
    {{"train.seconds=2.5"}, false},
    {{"train.optimizer=adamw"}, false},
    {{"train.schedule.type=step"}, false},
    {{"train.schedule={type: cosine, rounds: 7}"}, false},
    {{"train.schedule.warmup_rounds=1"}, false},
    {{"train.schedule.every=9"}, false},
    {{"train.schedule.factor=0.25"}, false},
    {{"train.schedule.minimum=0.125"}, false},
    {{"train.schedule.rounds=9"}, false},
    {{"train.beta1=0.5"}, false},
    {{"train.beta2=0.5"}, false},
    {{"train.epsilon=1e-7"}, false},
    {{"train.state=keep", "train.momentum=0.5"}, false},
    {{"train.max_gradient_norm=1.5"}, false},
    {{"train.proximal_mu=0.01"}, false},
    {{"train.class_weights=balanced"}, false},
    {{"round.participants=2"}, false},
    {{"round.sampling=cyclic", "round.participants=2"}, false},
    {{"round.sampling=list", "round.availability=[{silos: [2, 0], from: 3, to: 9}, {silos: [1]}]"},
     false},
    {{"round.share_sizes=true"}, true},
    {{"strategy.name=fedavgm"}, false},
    {{"strategy.server_learning_rate=0.5"}, false},
    {{"strategy.server_momentum=0.8"}, false},
    {{"strategy.name=fedprox", "train.proximal_mu=1"}, false},
    {{"strategy.name=fedyogi"}, false},
    {{"strategy.beta1=0.5"}, false},
    {{"strategy.beta2=0.5"}, false},
    {{"strategy.tau=0.5"}, false},
    {{"aggregation.encoding=float32"}, false},
    {{"aggregation.grid=public", "aggregation.clip_norm=1", "aggregation.weight_max=50"}, false},
    {{"aggregation.ranks_per_node=2"}, true},
    {{"evaluate.every=3"}, true},
    {{"evaluate.metrics=[brier, auc]"}, true},
    {{"evaluate.metrics=[]"}, true},
    {{"evaluate.per_silo=true"}, true},
    {{"evaluate.minimum_rows=11"}, true},
    {{"evaluate.bootstrap.replicates=100"}, true},
    {{"evaluate.bootstrap.replicates=100", "evaluate.bootstrap.unit=silo"}, true},
    {{"stop.metric=validation_accuracy", "data.validation_fraction=0.5"}, false},
    {{"stop.patience=3"}, true},
    {{"stop.minimum_delta=0.125"}, false},
    {{"checkpoint.every=3"}, true},
    {{"checkpoint.keep=3"}, true},
    {{"run.rehearsal=true"}, true},
    {{"round.quorum=2"}, true},
    {{"round.deadline_s=1.5"}, true},
    {{"round.collective_deadline_s=0.5"}, true},
    {{"round.heartbeat_s=0"}, true},
    {{"round.start_deadline_s=5"}, true},
    {{"round.respawn=true"}, true},
    {{"round.replay=runs/a b/events.jsonl"}, true},
    {{"alerts.participation=0.25"}, true},
    {{"alerts.rounds=4"}, true},
    {{"observe.prometheus=run.prom"}, true},
    {{"alerts.usual=false"}, true},
    {{"alerts.command=[mail, root]"}, true},
    {{"alerts.rules=[{figure: test_loss, threshold: 2}]"}, true},
    {{"policy.minimum_silos=3"}, false},
    {{"policy.extremes=true"}, false},
    {{"policy.digits=17"}, false},
    {{"gates=[{kind: score, metric: auc, limit: 0.5}]"}, true},
    {{"card.title=x"}, true},
    {{"card.license=mit"}, true},
    {{"card.contact=x"}, true},
    {{"card.intended_use=x"}, true},
    {{"card.limits=x"}, true},
    {{"card.data=x"}, true},
    {{"card.approvals=[x, y]"}, true},
    {{"card.tags=[x]"}, true},
    {{"faults=[{kind: kill, silo: 0, round: 1}]", "run.rehearsal=true"}, true},
    {{"faults=[{kind: corrupt, silo: 2, round: 9, point: checkpoint}, {kind: stop, silo: 1, "
      "round: 3, point: recover, after_s: 0.0025, seconds: 1.5}]",
      "run.rehearsal=true"},
     true},
};

/* Written, read and written again it is the same, with the same digest. */
static void check_round_trip(const struct gr_config *config) {
    struct gr_config *again = NULL;
    char *first = yaml_of(config), digest[2][GR_DIGEST_HEX];
    gr_status status = gr_config_parse("resolved", first, strlen(first), NULL, 0, &again);
    ck_assert_msg(status == GR_OK, "%s\n%s", gr_message(), first);
    char *second = yaml_of(again);
    ck_assert_str_eq(first, second);
    digest_of(config, digest[0]);
    digest_of(again, digest[1]);
    ck_assert_str_eq(digest[0], digest[1]);
    gr_config_free(again);
    gr_free(first);
    gr_free(second);
}

START_TEST(test_setting_is_written_and_digested) {
    const char *const *changes = settings[_i].changes;
    char digest[2][GR_DIGEST_HEX];
    size_t n = 0;
    while (changes[n])
        n++;
    struct gr_config *before = must_parse(rich, NULL, 0), *after = must_parse(rich, changes, n);
    char *yaml[2] = {yaml_of(before), yaml_of(after)};
    ck_assert_str_ne(yaml[0], yaml[1]);
    digest_of(before, digest[0]);
    digest_of(after, digest[1]);
    ck_assert_int_eq(strcmp(digest[0], digest[1]) == 0, settings[_i].changeable);
    check_round_trip(before);
    check_round_trip(after);
    gr_config_free(before);
    gr_config_free(after);
    gr_free(yaml[0]);
    gr_free(yaml[1]);
}
END_TEST

/* Two settings decide the model where a metric is watched, and nowhere else. */
START_TEST(test_stopping_is_digested) {
    static const char *const off[] = {"data.validation_fraction=0.5", NULL},
                             *const on[] = {"data.validation_fraction=0.5",
                                            "stop.metric=validation_loss", NULL};
    static const char *const words[] = {"evaluate.every=3", "stop.patience=3"};
    for (int watched = 0; watched < 2; watched++)
        for (size_t i = 0; i < 2; i++) {
            const char *changes[] = {"data.validation_fraction=0.5", words[i],
                                     "stop.metric=validation_loss"};
            char digest[2][GR_DIGEST_HEX];
            struct gr_config *before = must_parse(rich, watched ? on : off, watched ? 2 : 1);
            struct gr_config *after = must_parse(rich, changes, watched ? 3 : 2);
            digest_of(before, digest[0]);
            digest_of(after, digest[1]);
            ck_assert_int_eq(strcmp(digest[0], digest[1]) != 0, watched);
            gr_config_free(before);
            gr_config_free(after);
        }
}
END_TEST

/* What a resolved config looks like, whole. */
START_TEST(test_resolved) {
    struct gr_config *config = must_parse(rich, NULL, 0);
    char *yaml = yaml_of(config);
    ck_assert_str_eq(
        yaml, "run:\n  name: run\n  seed: 1\n  rounds: 2\n  directory: runs\n"
              "  placement: block\n  rehearsal: false\n"
              "data:\n  source: hdf5\n  silos: 3\n"
              "  train:\n    features: ''\n    labels: ''\n    file: a\n"
              "  silo_tables: []\n"
              "  test:\n    features: ''\n    labels: ''\n    file: ''\n"
              "  partition:\n    method: dirichlet\n    alpha: 0.3\n"
              "    shards_per_silo: 2\n    minimum_rows: 1\n    column: ''\n"
              "  synthetic:\n    alpha: 1\n    beta: 1\n    features: 60\n"
              "    classes: 10\n    minimum_rows: 50\n    maximum_rows: 2000\n"
              "    test_rows: 20\n"
              "  split_seed: 1\n  validation_fraction: 0\n  test_fraction: 0\n  stratify: "
              "true\n  limit: 0\n"
              "  csv:\n    separator: auto\n    header: true\n    label: label\n"
              "    encoding: utf8\n"
              "  schema: ''\n  disclosure_threshold: 10\n"
              "silos: []\n"
              "preprocess:\n  scale: none\n  clip: false\n"
              "model:\n  type: mlp\n  hidden: [12, 4]\n  layers: []\n"
              "  embedding: 0\n  vocabulary: 0\n  classes: 0\n  activation: relu\n"
              "  initialisation: he\n  compute: float32\n  loss: default\n"
              "  label_smoothing: 0\n  huber_delta: 1\n"
              "  initial: ''\n  initial_digest: ''\n"
              "train:\n  optimizer: sgd\n  learning_rate: 0.2\n"
              "  schedule:\n    type: constant\n    warmup_rounds: 0\n"
              "    every: 10\n    factor: 0.5\n    minimum: 0\n    rounds: 0\n"
              "  momentum: 0\n  beta1: 0.9\n  beta2: 0.999\n  epsilon: 1e-08\n"
              "  weight_decay: 0\n  decay_biases: true\n  state: reset\n"
              "  max_gradient_norm: 0\n  proximal_mu: 0\n"
              "  class_weights: none\n"
              "  batch_size: 4\n  epochs: 1\n  steps: 0\n  seconds: 0\n"
              "round:\n  participants: 0\n  sampling: uniform\n"
              "  share_sizes: false\n  availability: []\n  quorum: 1\n  deadline_s: 3600\n"
              "  collective_deadline_s: 60\n  heartbeat_s: 30\n  start_deadline_s: 600\n"
              "  respawn: false\n  replay: ''\n"
              "strategy:\n  name: fedavg\n  server_learning_rate: 1\n"
              "  server_momentum: 0.9\n"
              "  beta1: 0.9\n  beta2: 0.99\n  tau: 0.001\n  trim: 0.1\n"
              "aggregation:\n  encoding: ring32\n  grid: agreed\n"
              "  clip_norm: 0\n  weight_max: 0\n  ranks_per_node: 0\n  between: auto\n"
              "secure:\n  aggregation: false\n  threshold: 0\n  colluding: 0\n  neighbours: 0\n"
              "privacy:\n  unit: none\n  adjacency: add_remove\n  clip_norm: 0\n"
              "  noise_multiplier: 0\n  noise: silo\n  sampling: poisson\n"
              "  expected_batch: 0\n  expected_units: 0\n  rows_per_person: 16\n"
              "  correlation:\n    type: none\n    bands: 0\n"
              "  adaptive_clipping:\n    quantile: 0\n    learning_rate: 0.2\n    count_noise: 0\n"
              "  evaluation:\n    noise_multiplier: 0\n    times: 0\n    loss_bound: 4\n"
              "  statistics:\n    noise_multiplier: 0\n"
              "  budget:\n    epsilon: 0\n    delta: 0\n    on_exhausted: refuse\n"
              "evaluate:\n  every: 1\n"
              "  metrics: [balanced_accuracy, macro_f1, calibration_error, mae, r2]\n"
              "  operating_points: []\n  slices: []\n  per_silo: false\n  minimum_rows: 10\n"
              "  bootstrap:\n    replicates: 0\n    unit: row\n"
              "  recalibration: none\n  conformal:\n    alpha: 0\n"
              "stop:\n  metric: none\n  patience: 10\n  minimum_delta: 0\n"
              "checkpoint:\n  every: 1\n  keep: 2\n  io: auto\n  hints: []\n"
              "alerts:\n  participation: 0.5\n  rounds: 3\n  usual: true\n  rules: []\n"
              "  command: []\n  command_s: 30\n"
              "observe:\n  prometheus: ''\n"
              "policy:\n  minimum_silos: 2\n  extremes: false\n  digits: 4\n"
              "gates: []\n"
              "card:\n  title: ''\n  license: ''\n  contact: ''\n  intended_use: ''\n  limits: ''\n"
              "  data: ''\n  approvals: []\n  tags: []\n"
              "faults: []\n");
    gr_free(yaml);
    gr_config_free(config);
}
END_TEST

/* Numbers keep their last bit. */
START_TEST(test_numbers_round_trip) {
    gsl_rng *stream;
    struct gr_config *again = NULL, *config = must_parse(text_with(NULL), NULL, 0);
    ck_assert_int_eq(
        gr_stream_create((struct gr_stream_key){.seed = 5, .purpose = GR_PURPOSE_TEST}, &stream),
        GR_OK);
    for (int i = 0; i < 500; i++) {
        double mantissa = gsl_rng_uniform_pos(stream) + ldexp(gsl_rng_uniform_pos(stream), -32);
        config->train.learning_rate = ldexp(mantissa, (int)gsl_rng_uniform_int(stream, 129) - 120);
        config->run.seed = ((uint64_t)gsl_rng_get(stream) << 32) | gsl_rng_get(stream);
        char *yaml = yaml_of(config);
        gr_status status = gr_config_parse("resolved", yaml, strlen(yaml), NULL, 0, &again);
        ck_assert_msg(status == GR_OK, "%s", gr_message());
        ck_assert(again->train.learning_rate == config->train.learning_rate);
        ck_assert(again->run.seed == config->run.seed);
        gr_config_free(again);
        gr_free(yaml);
    }
    gsl_rng_free(stream);
    gr_config_free(config);
}
END_TEST

/* A long text stays on its line, whatever libyaml thinks of its length. */
START_TEST(test_long_text_is_not_folded) {
    char override[400] = "data.train.file=";
    for (int i = 0; i < 100; i++)
        strcat(override, "ab ");
    strcat(override, "c");
    const char *const overrides[] = {override};
    struct gr_config *config = must_parse(rich, overrides, 1);
    char *yaml = yaml_of(config);
    ck_assert_ptr_nonnull(strstr(yaml, strchr(override, '=') + 1));
    gr_free(yaml);
    gr_config_free(config);
}
END_TEST

/* Text that YAML would take for something else, or that needs quotes of one kind or the other. */
START_TEST(test_text_round_trip) {
    static const char *const texts[] = {
        "null",
        "~",
        "Null",
        "123",
        "1e5",
        "true",
        "- a",
        "a: b",
        "a #b",
        "'",
        "\"",
        "it's",
        "\\n",
        "[a]",
        "{a}",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "? a",
        "| a",
        "> a",
        " a ",
        "#",
        ":",
        "-",
        "---",
        "...",
        "a  b",
        "/a/b c/d",
        "<<",
        "=",
        "%TAG",
        "\u00e9\u4e2d\U0001F600",
        ("a\xc2\x85"
         "b"),
        "a\u2028b",
        "\ufeffa",
        "\u00a0",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct gr_config *again = NULL, *config = must_parse(rich, NULL, 0);
        char *was = config->data.train.file, word[32];
        snprintf(word, sizeof word, "%s", texts[i]);
        config->data.train.file = word;
        char *yaml = yaml_of(config);
        gr_status status = gr_config_parse("resolved", yaml, strlen(yaml), NULL, 0, &again);
        ck_assert_msg(status == GR_OK, "%s\n%s", gr_message(), yaml);
        ck_assert_str_eq(again->data.train.file, texts[i]);
        check_round_trip(again);
        config->data.train.file = was;
        gr_config_free(config);
        gr_config_free(again);
        gr_free(yaml);
    }
}
END_TEST

/* A file at its limit, full of tables with quotes in their names, resolves to what is still read.
 */
START_TEST(test_large_round_trip) {
    enum { TABLES = 10000 };
    char *text = malloc(200 + TABLES * 110);
    ck_assert_ptr_nonnull(text);
    size_t used = (size_t)sprintf(text, "run: {rounds: 1}\nmodel: {type: softmax}\n"
                                        "train: {learning_rate: 1, batch_size: 1}\n"
                                        "data: {source: hdf5, silo_tables: [");
    for (int i = 0; i < TABLES; i++)
        used += (size_t)sprintf(text + used, "%s{file: \"%080d'''''''''\"}", i ? "," : "", i);
    sprintf(text + used, "]}\n");
    struct gr_config *config = must_parse(text, NULL, 0);
    ck_assert_uint_eq(config->data.silos, TABLES);
    check_round_trip(config);
    gr_config_free(config);
    free(text);
}
END_TEST

/*
 * Computed outside this code by analysis/peers/config_digest.py: blake2b(digest_size=32) over the
 * settings in the header's order: path and a NUL; then "t", length, ":" and the text of a value, or
 * "l", count, ":" and the values of a list (for tables "s", count, ":" and their values).
 */
static const struct {
    const char *text, *digest;
} known_digests[] = {
    {"run: {rounds: 2}\ndata: {source: synthetic, silos: 3}\nmodel: {type: softmax}\n"
     "train: {learning_rate: 0.1, batch_size: 4}\n",
     "50d77878a34c98cce21bf90d3d1d2a6d34e62a634a68030e47ccaab9acbe4dbe"},
    {"run: {rounds: 9, seed: 7}\ndata: {source: hdf5, silo_tables: [{file: a}, {file: b}]}\n"
     "model: {type: mlp, hidden: [8, 9]}\ntrain: {learning_rate: 1e-4, batch_size: 4}\n",
     "1d18088adc8e60ab7124aa97ce523b5a0a2147e4bdef57d8ac96499d7abafde4"},
};

/* Settings that decide the model's bits are named with both values, others are not. */
START_TEST(test_difference) {
    static const char *const overrides[] = {"train.learning_rate=0.25", "model.hidden=[12, 5]",
                                            "run.rounds=9", "data.train.file=elsewhere",
                                            "data.split_seed=7"};
    struct gr_config *then = must_parse(rich, NULL, 0), *now = must_parse(rich, overrides, 5);
    char *text;
    ck_assert_int_eq(gr_config_difference(then, now, NULL, &text), GR_OK);
    ck_assert_str_eq(text, "data.split_seed: 1 then, 7 now; model.hidden: [12, 4] then, [12, 5] "
                           "now; train.learning_rate: 0.2 then, 0.25 now");
    gr_free(text);
    ck_assert_int_eq(gr_config_difference(then, then, NULL, &text), GR_OK);
    ck_assert_ptr_null(text);
    gr_config_free(now);
    gr_config_free(then);
}
END_TEST

#define NAMED(tables, names)                                                                       \
    "run: {rounds: 2}\ndata: {source: csv, silo_tables: [" tables                                  \
    "]}\nmodel: {type: mlp, hidden: "                                                              \
    "[8]}\ntrain: {learning_rate: 0.1, batch_size: 4}\nsilos: [" names "]\n"
#define TWO_TABLES "{file: a}, {file: b}"

/* Names and their order decide, the folders beside them do not. */
START_TEST(test_silo_names_are_digested) {
    static const struct {
        const char *text;
        bool same;
    } other[] = {
        {NAMED(TWO_TABLES, "{name: x, directory: d}, {name: y}"), true},
        {NAMED(TWO_TABLES, "{name: x}, {name: z}"), false},
        {NAMED(TWO_TABLES, "{name: y}, {name: x}"), false},
        {NAMED(TWO_TABLES, "{directory: x}, {directory: y}"), false},
    };
    char digest[2][GR_DIGEST_HEX], *text;
    struct gr_config *config = must_parse(NAMED(TWO_TABLES, "{name: x}, {name: y}"), NULL, 0);
    digest_of(config, digest[0]);
    for (size_t i = 0; i < COUNT(other); i++) {
        struct gr_config *now = must_parse(other[i].text, NULL, 0);
        digest_of(now, digest[1]);
        ck_assert_msg((strcmp(digest[0], digest[1]) == 0) == other[i].same, "%s", other[i].text);
        ck_assert_int_eq(gr_config_difference(config, now, NULL, &text), GR_OK);
        ck_assert_msg((text == NULL) == other[i].same, "%s", other[i].text);
        gr_free(text);
        gr_config_free(now);
    }
    /* Python: int.from_bytes(hashlib.blake2b(b"x", digest_size=32).digest()[:4], "little") */
    ck_assert_uint_eq(gr_silo_stream(config, 0), 299327953u);
    ck_assert_uint_eq(gr_silo_find(config, "y"), 1);
    ck_assert_uint_eq(gr_silo_find(config, "z"), 2);
    ck_assert_uint_eq(gr_silo_find(config, ""), 2);
    gr_config_free(config);
}
END_TEST

static const struct {
    const char *text, *message;
} broken_names[] = {
    {NAMED(TWO_TABLES, "{name: x}, {directory: d}"),
     "t.yaml:5: silos[1].name: found none, allowed one for each silo, or for none"},
    {NAMED(TWO_TABLES, "{directory: d}, {name: y}"),
     "t.yaml:5: silos[1].name: found \"y\", and none of silos[0], allowed one for each silo, or "
     "for "
     "none"},
    {NAMED(TWO_TABLES, "{name: x}, {name: Y}"),
     "t.yaml:5: silos[1].name: found \"Y\", allowed 1 to 63 of a-z, 0-9 and '-', no '-' first"},
    {NAMED(TWO_TABLES, "{name: x}, {name: x}"),
     "t.yaml:5: silos[1].name: found \"x\" a second time, allowed once"},
    /* Both names' BLAKE2b-256 begins with 19d50201, by Python's hashlib. */
    {NAMED(TWO_TABLES, "{name: site-77904}, {name: site-60467}"),
     "t.yaml:5: silos[1].name: found \"site-60467\", which would draw the random numbers of "
     "\"site-77904\", allowed another name"},
    {"run: {rounds: 2}\ndata: {source: synthetic, silos: 2}\nmodel: {type: softmax}\n"
     "train: {learning_rate: 0.1, batch_size: 4}\nsilos: [{name: x}, {name: y}]\n",
     "t.yaml:5: silos[0].name: found a name, allowed none without data.silo_tables"},
};

START_TEST(test_broken_names) {
    must_fail(broken_names[_i].text, NULL, 0, broken_names[_i].message);
}
END_TEST

START_TEST(test_known_digest) {
    char digest[GR_DIGEST_HEX];
    struct gr_config *config = must_parse(known_digests[_i].text, NULL, 0);
    digest_of(config, digest);
    ck_assert_str_eq(digest, known_digests[_i].digest);
    gr_config_free(config);
}
END_TEST

/*
 * The digest leaves out what stands in the tree as in the table of defaults: so a default is
 * written there as a config shows it, and a list that decides has none but the empty one. Otherwise
 * a new setting would refuse the checkpoints of before. train.epsilon, which is shown as 1e-08, was
 * there from the first on.
 */
START_TEST(test_default_is_left_out) {
    struct gr_config *config = must_parse(text_with(NULL), NULL, 0);
    struct gr_node *root = NULL;
    ck_assert_int_eq(gr_settings_tree(config, &gr_config_schema, &root), GR_OK);
    const struct gr_setting *s;
    for (size_t i = 0; (s = gr_setting_at(i)); i++) {
        const struct gr_node *node = gr_node_at(root, s->path);
        if (s->flags & (GR_SETTING_CHANGEABLE | GR_SETTING_REQUIRED) || strchr(s->path, '[') ||
            strcmp(s->path, "data.silos") == 0 || strcmp(s->path, "train.epsilon") == 0)
            continue;
        ck_assert_msg(node != NULL, "%s", s->path);
        if (node->kind == GR_NODE_SCALAR)
            ck_assert_msg(strcmp(node->text, s->standard ? s->standard : "") == 0,
                          "%s: default %s is shown as %s", s->path, s->standard, node->text);
        else
            ck_assert_msg(!s->standard && node->n_children == 0, "%s", s->path);
    }
    gr_node_free(root);
    gr_config_free(config);
}
END_TEST

/* ---- harm --------------------------------------------------------------------------------- */

START_TEST(test_not_utf8) {
    struct gr_config *config;
    static const struct {
        const char *text;
        size_t length;
        const char *message;
    } cases[] = {
        {"run:\n  name: \xff\n", 14,
         "t.yaml:2: found bytes that are not UTF-8 text, allowed UTF-8"},
        {"\xff\xfer\0u\0n\0", 8, "t.yaml:1: found bytes that are not UTF-8 text, allowed UTF-8"},
        {"run:\n\n\0", 7, "t.yaml:3: found bytes that are not UTF-8 text, allowed UTF-8"},
        {"run: \xc3", 6, "t.yaml:1: found bytes that are not UTF-8 text, allowed UTF-8"},
        {"run: \xc0\xaf", 7, "t.yaml:1: found bytes that are not UTF-8 text, allowed UTF-8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        ck_assert_int_eq(
            gr_config_parse("t.yaml", cases[i].text, cases[i].length, NULL, 0, &config),
            GR_ERROR_CONFIG);
        ck_assert_str_eq(gr_message(), cases[i].message);
    }
    /* A byte order mark is harmless. */
    char text[20004];
    snprintf(text, sizeof text, "\xef\xbb\xbf%s", text_with(NULL));
    gr_config_free(must_parse(text, NULL, 0));
}
END_TEST

/* A prefix, a piece to be repeated up to so many bytes, and how the message begins. */
static const struct {
    const char *prefix, *piece;
    size_t length;
    const char *message;
} torture[] = {
    {"run: {name: \"", "a", 10485760, "t.yaml: found 10485773 bytes, allowed at most 8388608"},
    {"run: {rounds: 1, name: ", "a", 1000000, "t.yaml:2:1: did not find expected ',' or '}'"},
    {"run:\n  rounds: 1\n  name: ", "a", 1000000, "t.yaml:3: run.name: found 1000000 bytes"},
    {"run:\n  rounds: ", "1", 1000000, "t.yaml:2: run.rounds: found 1111111111"},
    {"", "key: 1\n", 3500000, "t.yaml:250000:6: found more than 500000 keys and values"},
    {"run:\n", "  key: 1\n", 449982, "t.yaml:2: run.key: found an unknown key"},
    {"run:\n", "  rounds: 1\n", 400000, "t.yaml:3: run.rounds: found a second time"},
    {"", "[", 1000000, "t.yaml:1:9: found values nested too deep"},
    {"", "{", 1000000, "t.yaml:1:2: found a list or section as key"},
    {"", "- ", 1000000, "t.yaml:1:17: found values nested too deep"},
    {"", "? ", 1000000, "t.yaml:1:3: found a list or section as key"},
    {"a: [", "x, ", 2000000, "t.yaml:1:1499996: found more than 500000 keys and values"},
    {"model: {hidden: [", "1, ", 150000, "t.yaml:2:1: did not find expected node content"},
    {"", "%TAG !a! b:\n", 1000000, "t.yaml:1:1: found %TAG 83333 times, allowed no tags"},
    {"", "&a ", 1000000, "t.yaml:1:1: found an anchor (&), allowed none"},
    {"", "---\n", 1000000, "t.yaml:2:1: found a second document"},
    {"", "#\n", 1000000, "t.yaml: run.rounds: is required; found nothing"},
    {"", "\n", 1000000, "t.yaml: run.rounds: is required; found nothing"},
    {"", "\"", 1000000, "t.yaml:1:3: did not find expected <document start>"},
    {"a: |\n", " a\n", 999999, "t.yaml:1: a: found an unknown key"},
};

/* Each ends in a clear message well within the time limit of the case. */
START_TEST(test_torture) {
    size_t used = strlen(torture[_i].prefix), piece = strlen(torture[_i].piece);
    size_t length = used + torture[_i].length / piece * piece;
    char *text = malloc(length);
    struct gr_config *config;
    ck_assert_ptr_nonnull(text);
    memcpy(text, torture[_i].prefix, used);
    for (; used < length; used += piece)
        memcpy(text + used, torture[_i].piece, piece);
    ck_assert_int_eq(gr_config_parse("t.yaml", text, length, NULL, 0, &config), GR_ERROR_CONFIG);
    ck_assert_msg(strncmp(gr_message(), torture[_i].message, strlen(torture[_i].message)) == 0,
                  "%s\n%s", torture[_i].message, gr_message());
    free(text);
}
END_TEST

/* ---- surroundings ------------------------------------------------------------------------- */

START_TEST(test_files) {
    struct gr_config *config;
    char path[] = "/tmp/granary-config-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (1 << 20) + 1), 0);
    ck_assert_int_eq(gr_config_load(path, NULL, 0, &config), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "1048577 bytes"));
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    const char *text = text_with("run: {rounds: x}");
    ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    ck_assert_int_eq(gr_config_load(path, NULL, 0, &config), GR_ERROR_CONFIG);
    ck_assert_int_eq(strncmp(gr_message(), path, strlen(path)), 0);
    ck_assert_ptr_nonnull(strstr(gr_message(), ":1: run.rounds: found \"x\""));
    unlink(path);
    ck_assert_int_eq(gr_config_load(path, NULL, 0, &config), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "No such file"));
    ck_assert_int_eq(gr_config_load("/tmp", NULL, 0, &config), GR_ERROR_CONFIG);
    ck_assert_ptr_null(config);
    gr_config_free(NULL);
}
END_TEST

/* Neither libyaml nor libcyaml may write where the command writes. */
START_TEST(test_silence) {
    static const char *const sections[] = {"run: {rounds: x}", "model: [", "data: {source: idx}",
                                           "a: *b", "round: {participants: 2}"};
    FILE *sink = tmpfile();
    struct gr_config *config;
    struct stat info;
    ck_assert_ptr_nonnull(sink);
    fflush(NULL);
    int out = dup(1), err = dup(2);
    dup2(fileno(sink), 1);
    dup2(fileno(sink), 2);
    for (size_t i = 0; i < COUNT(sections); i++) {
        if (parse_text(text_with(sections[i]), NULL, 0, &config) == GR_OK) {
            gr_free(yaml_of(config));
            gr_config_free(config);
        }
    }
    fflush(NULL);
    dup2(out, 1);
    dup2(err, 2);
    ck_assert_int_eq(fstat(fileno(sink), &info), 0);
    ck_assert_int_eq((int)info.st_size, 0);
    fclose(sink);
}
END_TEST

/* Where the program's language writes 0,05, a config still writes 0.05. */
START_TEST(test_locale) {
    char folder[] = "/tmp/granary-locale-XXXXXX", command[400], comma[8];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(command, sizeof command,
             "cd %s && printf 'LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \"\"\n"
             "grouping -1\nEND LC_NUMERIC\n' > in && "
             "localedef -c -f ANSI_X3.4-1968 -i in ./comma > out 2>&1",
             folder);
    /* It warns of what it is not given, and its code with it. */
    ck_assert_int_ne(system(command), -1);
    setenv("LOCPATH", folder, 1);
    /* Where a language cannot be made there is nothing to be tested. */
    if (setlocale(LC_NUMERIC, "comma")) {
        snprintf(comma, sizeof comma, "%.1f", 0.5);
        ck_assert_str_eq(comma, "0,5");
        struct gr_config *config = must_parse(text_with(NULL), NULL, 0);
        ck_assert(config->train.learning_rate == 1 / 10.0);
        check_round_trip(config);
        gr_config_free(config);
        must_fail(text_with("data: {source: synthetic, silos: 1, validation_fraction: 0.91}"), NULL,
                  0, "t.yaml:2: data.validation_fraction: found 0.91, allowed 0 <= x <= 0.9");
        snprintf(comma, sizeof comma, "%.1f", 0.5);
        ck_assert_str_eq(comma, "0,5");
    }
    snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* A unit of time is another way to write a number of seconds, in whatever language. */
START_TEST(test_units_of_time) {
    static const struct {
        const char *text;
        double seconds; /* 0: it is refused */
    } times[] = {{"36h", 129600}, {"2d", 172800}, {"10m", 600}, {"90s", 90},  {"1.5h", 5400},
                 {"'2h'", 7200},  {"90", 90},     {"1e2", 100}, {"36x", 0},   {"h", 0},
                 {"1h30m", 0},    {"-1h", 0},     {"1e3h", 0},  {"1.5.h", 0}, {"12d", 0},
                 {"0m", 0},       {"36 h", 0},    {"0x10s", 0}, {"[1h]", 0},  {"1,5h", 0}};
    char section[64];
    for (size_t i = 0; i < COUNT(times); i++) {
        struct gr_config *config = NULL;
        snprintf(section, sizeof section, "round: {deadline_s: %s}", times[i].text);
        gr_status status = parse_text(text_with(section), NULL, 0, &config);
        ck_assert_msg((status == GR_OK) == (times[i].seconds > 0), "%s: %s", times[i].text,
                      gr_message());
        if (config) ck_assert_double_eq(config->round.deadline_s, times[i].seconds);
        gr_config_free(config);
    }
    must_fail(text_with("train: {learning_rate: 1s, batch_size: 4}"), NULL, 0,
              "t.yaml:4: train.learning_rate: found \"1s\", allowed 0 < x <= 1000");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config text");
    TCase *written = tcase_create("written");
    tcase_set_timeout(written, 120);
    tcase_add_loop_test(written, test_setting_is_written_and_digested, 0, (int)COUNT(settings));
    tcase_add_test(written, test_stopping_is_digested);
    tcase_add_test(written, test_resolved);
    tcase_add_test(written, test_numbers_round_trip);
    tcase_add_test(written, test_units_of_time);
    tcase_add_test(written, test_long_text_is_not_folded);
    tcase_add_test(written, test_text_round_trip);
    tcase_add_test(written, test_large_round_trip);
    tcase_add_loop_test(written, test_known_digest, 0, (int)COUNT(known_digests));
    tcase_add_test(written, test_difference);
    tcase_add_test(written, test_silo_names_are_digested);
    tcase_add_loop_test(written, test_broken_names, 0, COUNT(broken_names));
    tcase_add_test(written, test_default_is_left_out);
    suite_add_tcase(suite, written);
    TCase *harm = tcase_create("harm");
    tcase_set_timeout(harm, 120);
    tcase_add_test(harm, test_not_utf8);
    tcase_add_loop_test(harm, test_torture, 0, (int)COUNT(torture));
    tcase_add_test(harm, test_files);
    tcase_add_test(harm, test_silence);
    tcase_add_test(harm, test_locale);
    suite_add_tcase(suite, harm);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
