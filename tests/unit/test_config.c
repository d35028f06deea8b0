/* SPDX-License-Identifier: Apache-2.0 */
/* The config: every rule broken once and all at once, defaults, overrides. */
#include "config.h"

#define HINT(found)                                                                                \
    "t.yaml:5: checkpoint.hints: found \"" found                                                   \
    "\", allowed key=value of at most 31 and 255 characters, without spaces, such as "             \
    "striping_factor=8"
#define HINT_NUMBER(found)                                                                         \
    "t.yaml:5: checkpoint.hints: found \"" found                                                   \
    "\", allowed a whole number from 1 to 2147483647, without a unit"

static size_t count_lines(const char *text) {
    size_t n = 1;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

/* ---- each rule, broken alone -------------------------------------------------------------- */

/* Of evaluate.metrics, in the order of their table. */
#define METRIC_NAMES                                                                               \
    "balanced_accuracy, macro_f1, micro_f1, weighted_f1, top_3_accuracy, "                         \
    "top_5_accuracy, matthews, cohen_kappa, sensitivity, specificity, "                            \
    "positive_predictive_value, negative_predictive_value, auc, average_precision, "               \
    "brier, calibration_error, observed_expected, calibration_slope, "                             \
    "calibration_intercept, hosmer_lemeshow, hosmer_lemeshow_p, mse, mae, r2 or "                  \
    "poisson_deviance"

static const struct {
    const char *section, *message;
} broken[] = {
    /* keys */
    {"run: {rounds: 2, sed: 3}", "t.yaml:1: run.sed: found an unknown key, allowed name, seed, "
                                 "rounds, directory, placement, rehearsal; nearest is run.seed"},
    {"run: {roundz: 2}", "t.yaml:1: run.roundz: found an unknown key, allowed name, seed, rounds, "
                         "directory, placement, rehearsal; nearest is run.rounds"},
    {"rond: {participants: 2}",
     "t.yaml:5: rond: found an unknown key, allowed run, data, silos, preprocess, model, train, "
     "round, "
     "strategy, "
     "aggregation, secure, privacy, evaluate, stop, checkpoint, alerts, observe, policy, gates, "
     "card, "
     "faults; "
     "nearest is "
     "round"},
    {"learning_rate: 1",
     "t.yaml:5: learning_rate: found an unknown key, allowed run, data, silos, preprocess, model, "
     "train, "
     "round, "
     "strategy, aggregation, secure, privacy, evaluate, stop, checkpoint, alerts, observe, policy, "
     "gates, card, faults; "
     "nearest "
     "is "
     "train.learning_rate"},
    {"evaluate: {epochs: 3}",
     "t.yaml:5: evaluate.epochs: found an unknown key, allowed every, metrics, "
     "operating_points, slices, per_silo, minimum_rows, bootstrap, recalibration, conformal; "
     "nearest is train.epochs"},
    {"checkpoint: {qqqqqqqq: 1}",
     "t.yaml:5: checkpoint.qqqqqqqq: found an unknown key, allowed every, keep, io, hints"},
    {"checkpoint: {'': 1}",
     "t.yaml:5: checkpoint.: found an unknown key, allowed every, keep, io, hints"},
    {"checkpoint: {\"keep\\0\": 1}",
     "t.yaml:5: checkpoint.keep?: found an unknown key, allowed every, keep, io, hints; "
     "nearest is "
     "checkpoint.keep"},
    {"run: {rounds: 2, rounds: 3}",
     "t.yaml:1: run.rounds: found a second time (first in line 1), allowed once"},
    {"run:\n  rounds: 2\n  seed: 3\n  rounds: 3",
     "t.yaml:4: run.rounds: found a second time (first in line 2), allowed once"},
    {"run: {}", "t.yaml:1: run.rounds: is required; found nothing, " WHOLE("1", "10000000")},
    {"run:", "t.yaml:1: run.rounds: is required; found nothing, " WHOLE("1", "10000000")},
    {"data: {silos: 2}",
     "t.yaml:2: data.source: is required; found nothing, allowed idx, hdf5, csv or synthetic"},
    {"model: {type: softmax, initial: m.h5}",
     "t.yaml:3: model.initial_digest: found none, allowed with model.initial only the digest that "
     "`granary inspect --digest` prints of it"},
    {"model: {type: softmax, initial_digest: 12ab}",
     "t.yaml:3: model.initial_digest: found \"12ab\", allowed a model's digest, 64 hexadecimal "
     "digits (`granary inspect --digest`)"},
    {"model: {}",
     "t.yaml:3: model.type: is required; found nothing, allowed softmax, mlp, linear, logistic, "
     "poisson, cnn or bag"},
    {"train: {batch_size: 1}",
     "t.yaml:4: train.learning_rate: is required; found nothing, allowed 0 < x <= 1000"},
    {"train: {learning_rate: 1}",
     "t.yaml:4: train.batch_size: is required; found nothing, " WHOLE("1", "65536")},
    /* types */
    {"run: 5", "t.yaml:1: run: found 5, allowed a section of name, seed, rounds, directory, "
               "placement, rehearsal"},
    {"run: [5]", "t.yaml:1: run: found a list, allowed a section of name, seed, rounds, directory, "
                 "placement, rehearsal"},
    {"run: {rounds: abc}", "t.yaml:1: run.rounds: found \"abc\", " WHOLE("1", "10000000")},
    {"run: {rounds: [1]}", "t.yaml:1: run.rounds: found a list, " WHOLE("1", "10000000")},
    {"run: {rounds: {a: 1}}", "t.yaml:1: run.rounds: found a section, " WHOLE("1", "10000000")},
    {"run: {rounds: }",
     "t.yaml:1: run.rounds: is required; found nothing, " WHOLE("1", "10000000")},
    {"run: {rounds: ~}",
     "t.yaml:1: run.rounds: is required; found nothing, " WHOLE("1", "10000000")},
    {"run: {rounds: 2.0}", "t.yaml:1: run.rounds: found 2.0, " WHOLE("1", "10000000")},
    {"run: {rounds: 1e3}", "t.yaml:1: run.rounds: found 1e3, " WHOLE("1", "10000000")},
    {"run: {rounds: 010}", "t.yaml:1: run.rounds: found 010, " WHOLE("1", "10000000")},
    {"run: {rounds: 0x10}", "t.yaml:1: run.rounds: found \"0x10\", " WHOLE("1", "10000000")},
    {"run: {rounds: -1}", "t.yaml:1: run.rounds: found -1, " WHOLE("1", "10000000")},
    {"run: {rounds: +1}", "t.yaml:1: run.rounds: found +1, " WHOLE("1", "10000000")},
    {"run: {rounds: \"1\\0\"}", "t.yaml:1: run.rounds: found \"1?\", " WHOLE("1", "10000000")},
    {"run: {rounds: 2, name: [a]}", "t.yaml:1: run.name: found a list, " PATH_TEXT},
    {"run: {rounds: 2, name: }", "t.yaml:1: run.name: found nothing, " PATH_TEXT},
    {"run: {rounds: 2, directory: \"a\\nb\"}",
     "t.yaml:1: run.directory: found \"a?b\", " PATH_TEXT},
    {"run: {rounds: 2, directory: \"a\\0b\"}",
     "t.yaml:1: run.directory: found \"a?b\", " PATH_TEXT},
    {"model: {type: 3}",
     "t.yaml:3: model.type: found 3, allowed softmax, mlp, linear, logistic, poisson, cnn or bag"},
    {"model: {type: \"softmax\\0x\"}", "t.yaml:3: model.type: found \"softmax?x\", allowed "
                                       "softmax, mlp, linear, logistic, poisson, cnn or bag"},
    {"model: {type: Softmax}", "t.yaml:3: model.type: found \"Softmax\", allowed softmax, mlp, "
                               "linear, logistic, poisson, cnn or bag"},
    {"model: {type: softmax, hidden: 8}",
     "t.yaml:3: model.hidden: found 8, allowed a list of at most 32, each a whole number from 1 "
     "to 65536"},
    {"data: {source: hdf5, silo_tables: [x]}",
     "t.yaml:2: data.silo_tables[0]: found \"x\", allowed a section of features, labels, file"},
    {"data: {source: hdf5, silo_tables: [{file: x}, {file: [y]}]}",
     "t.yaml:2: data.silo_tables[1].file: found a list, " PATH_TEXT},
    {"data: {source: hdf5, silo_tables: [{fil: x}]}",
     "t.yaml:2: data.silo_tables[0].fil: found an unknown key, allowed features, labels, file; "
     "nearest is data.silo_tables[0].file"},
    /* bounds */
    {"run: {rounds: 0}", "t.yaml:1: run.rounds: found 0, " WHOLE("1", "10000000")},
    {"run: {rounds: 10000001}", "t.yaml:1: run.rounds: found 10000001, " WHOLE("1", "10000000")},
    {"run: {rounds: 2, seed: 18446744073709551616}",
     "t.yaml:1: run.seed: found 18446744073709551616, " WHOLE("0", "18446744073709551615")},
    {"data: {source: synthetic, silos: 0}",
     "t.yaml:2: data.silos: found 0, " WHOLE("1", "1000000")},
    {"data: {source: synthetic, silos: 1000001}",
     "t.yaml:2: data.silos: found 1000001, " WHOLE("1", "1000000")},
    {"data: {source: synthetic, silos: 2, validation_fraction: 0.91}",
     "t.yaml:2: data.validation_fraction: found 0.91, allowed 0 <= x <= 0.9"},
    {"data: {source: synthetic, silos: 2, limit: 4294967296}",
     "t.yaml:2: data.limit: found 4294967296, " WHOLE("0", "4294967295")},
    {"data: {source: synthetic, silos: 2, partition: {alpha: 0}}",
     "t.yaml:2: data.partition.alpha: found 0, allowed 0 < x <= 1e+06"},
    {"data: {source: synthetic, silos: 2, partition: {alpha: nan}}",
     "t.yaml:2: data.partition.alpha: found \"nan\", allowed 0 < x <= 1e+06"},
    {"data: {source: synthetic, silos: 2, partition: {shards_per_silo: 0}}",
     "t.yaml:2: data.partition.shards_per_silo: found 0, " WHOLE("1", "1000")},
    {"data: {source: synthetic, silos: 2, partition: {minimum_rows: 0}}",
     "t.yaml:2: data.partition.minimum_rows: found 0, " WHOLE("1", "1000000000")},
    {"data: {source: synthetic, silos: 2, synthetic: {alpha: -1}}",
     "t.yaml:2: data.synthetic.alpha: found -1, allowed 0 <= x <= 1e+06"},
    {"data: {source: synthetic, silos: 2, synthetic: {beta: -1}}",
     "t.yaml:2: data.synthetic.beta: found -1, allowed 0 <= x <= 1e+06"},
    {"data: {source: synthetic, silos: 2, synthetic: {features: 0}}",
     "t.yaml:2: data.synthetic.features: found 0, " WHOLE("1", "65536")},
    {"data: {source: synthetic, silos: 2, synthetic: {classes: 1}}",
     "t.yaml:2: data.synthetic.classes: found 1, " WHOLE("2", "65536")},
    {"data: {source: synthetic, silos: 2, synthetic: {minimum_rows: 0}}",
     "t.yaml:2: data.synthetic.minimum_rows: found 0, " WHOLE("1", "1000000")},
    {"data: {source: synthetic, silos: 2, synthetic: {maximum_rows: 1000001}}",
     "t.yaml:2: data.synthetic.maximum_rows: found 1000001, " WHOLE("1", "1000000")},
    {"data: {source: synthetic, silos: 2, synthetic: {test_rows: 1000001}}",
     "t.yaml:2: data.synthetic.test_rows: found 1000001, " WHOLE("0", "1000000")},
    {"model: {type: mlp, hidden: [4, 0]}",
     "t.yaml:3: model.hidden[1]: found 0, " WHOLE("1", "65536")},
    {"model: {type: mlp, hidden: [65537]}",
     "t.yaml:3: model.hidden[0]: found 65537, " WHOLE("1", "65536")},
    {"model: {type: mlp, hidden: "
     "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
     "t.yaml:3: model.hidden: found a list of 33, allowed a list of at most 32, each a whole "
     "number from 1 to 65536"},
    {"model: {type: softmax, activation: sigmoid}",
     "t.yaml:3: model.activation: found \"sigmoid\", allowed relu, gelu or tanh"},
    {"model: {type: softmax, initialisation: zero}",
     "t.yaml:3: model.initialisation: found \"zero\", allowed he or glorot"},
    {"model: {type: softmax, compute: float64}",
     "t.yaml:3: model.compute: found \"float64\", allowed float32 or bfloat16"},
    {"train: {learning_rate: 0, batch_size: 4}",
     "t.yaml:4: train.learning_rate: found 0, allowed 0 < x <= 1000"},
    {"train: {learning_rate: 1000.1, batch_size: 4}",
     "t.yaml:4: train.learning_rate: found 1000.1, allowed 0 < x <= 1000"},
    {"train: {learning_rate: .inf, batch_size: 4}",
     "t.yaml:4: train.learning_rate: found \".inf\", allowed 0 < x <= 1000"},
    {"train: {learning_rate: 1e999, batch_size: 4}",
     "t.yaml:4: train.learning_rate: found 1e999, allowed 0 < x <= 1000"},
    {"train: {learning_rate: 1e-999, batch_size: 4}",
     "t.yaml:4: train.learning_rate: found 1e-999, allowed 0 < x <= 1000"},
    {"train: {learning_rate: 0.1.2, batch_size: 4}",
     "t.yaml:4: train.learning_rate: found 0.1.2, allowed 0 < x <= 1000"},
    {"train: {learning_rate: 0x1p-3, batch_size: 4}",
     "t.yaml:4: train.learning_rate: found \"0x1p-3\", allowed 0 < x <= 1000"},
    {"train: {learning_rate: 1, batch_size: 4, momentum: 1}",
     "t.yaml:4: train.momentum: found 1, allowed 0 <= x < 1"},
    {"train: {learning_rate: 1, batch_size: 4, momentum: 1.5}",
     "t.yaml:4: train.momentum: found 1.5, allowed 0 <= x < 1"},
    {"train: {learning_rate: 1, batch_size: 4, weight_decay: -1}",
     "t.yaml:4: train.weight_decay: found -1, allowed 0 <= x <= 1000"},
    {"train: {learning_rate: 1, batch_size: 0}",
     "t.yaml:4: train.batch_size: found 0, " WHOLE("1", "65536")},
    {"train: {learning_rate: 1, batch_size: 65537}",
     "t.yaml:4: train.batch_size: found 65537, " WHOLE("1", "65536")},
    {"train: {learning_rate: 1, batch_size: 1, epochs: 1000001}",
     "t.yaml:4: train.epochs: found 1000001, " WHOLE("0", "1000000")},
    {"train: {learning_rate: 1, batch_size: 1, steps: 1000000001}",
     "t.yaml:4: train.steps: found 1000000001, " WHOLE("0", "1000000000")},
    {"round: {participants: 1000001}",
     "t.yaml:5: round.participants: found 1000001, " WHOLE("0", "1000000")},
    {"train: {learning_rate: 1, batch_size: 1, optimizer: rmsprop}",
     "t.yaml:4: train.optimizer: found \"rmsprop\", allowed sgd, nesterov, adam or adamw"},
    {"train: {learning_rate: 1, batch_size: 1, schedule: {type: linear}}",
     "t.yaml:4: train.schedule.type: found \"linear\", allowed constant, step or cosine"},
    {"train: {learning_rate: 1, batch_size: 1, schedule: {warmup_rounds: -1}}",
     "t.yaml:4: train.schedule.warmup_rounds: found -1, " WHOLE("0", "10000000")},
    {"train: {learning_rate: 1, batch_size: 1, schedule: {every: 0}}",
     "t.yaml:4: train.schedule.every: found 0, " WHOLE("1", "10000000")},
    {"train: {learning_rate: 1, batch_size: 1, schedule: {factor: 0}}",
     "t.yaml:4: train.schedule.factor: found 0, allowed 0 < x <= 1"},
    {"train: {learning_rate: 1, batch_size: 1, schedule: {minimum: -1}}",
     "t.yaml:4: train.schedule.minimum: found -1, allowed 0 <= x <= 1000"},
    {"train: {learning_rate: 1, batch_size: 1, beta1: 1}",
     "t.yaml:4: train.beta1: found 1, allowed 0 <= x < 1"},
    {"train: {learning_rate: 1, batch_size: 1, beta2: 1}",
     "t.yaml:4: train.beta2: found 1, allowed 0 <= x < 1"},
    {"train: {learning_rate: 1, batch_size: 1, epsilon: 0}",
     "t.yaml:4: train.epsilon: found 0, allowed 1.17549e-38 <= x <= 1"},
    {"train: {learning_rate: 1, batch_size: 1, epsilon: 1e-50}",
     "t.yaml:4: train.epsilon: found 1e-50, allowed 1.17549e-38 <= x <= 1"},
    {"train: {learning_rate: 1, batch_size: 1, max_gradient_norm: -1}",
     "t.yaml:4: train.max_gradient_norm: found -1, allowed 0 <= x <= 1e+06"},
    {"train: {learning_rate: 1, batch_size: 1, proximal_mu: -1}",
     "t.yaml:4: train.proximal_mu: found -1, allowed 0 <= x <= 1000"},
    {"train: {learning_rate: 1, batch_size: 1, seconds: -1}",
     "t.yaml:4: train.seconds: found -1, allowed 0 <= x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"strategy: {name: krum}",
     "t.yaml:5: strategy.name: found \"krum\", allowed fedavg, fedavgm, fedsgd, fedprox, "
     "fedadagrad, fedadam, fedyogi, median, trimmed_mean, fednova or scaffold"},
    {"strategy: {name: trimmed_mean, trim: 0.5}",
     "t.yaml:5: strategy.trim: found 0.5, allowed 0 <= x < 0.5"},
    {"strategy: {name: trimmed_mean, trim: 0.33}",
     "t.yaml:5: strategy.name: found trimmed_mean, with which one wrong update of 3 (data.silos) "
     "moves the model anywhere, allowed with more silos in a round, or another strategy.trim"},
    {"strategy: {name: median}\nround: {participants: 2}",
     "t.yaml:5: strategy.name: found median, with which one wrong update of 2 (round.participants) "
     "moves the model anywhere, allowed with more silos in a round"},
    {"strategy: {name: median}\naggregation: {encoding: ring16}",
     "t.yaml:6: aggregation.encoding: found ring16, allowed only ring32, the default, with "
     "strategy.name median"},
    {"strategy: {beta1: 1}", "t.yaml:5: strategy.beta1: found 1, allowed 0 <= x < 1"},
    {"strategy: {beta2: 1}", "t.yaml:5: strategy.beta2: found 1, allowed 0 <= x < 1"},
    {"strategy: {tau: 0}", "t.yaml:5: strategy.tau: found 0, allowed 0 < x <= 1000"},
    {"strategy: {server_learning_rate: 0}",
     "t.yaml:5: strategy.server_learning_rate: found 0, allowed 0 < x <= 1000"},
    {"strategy: {server_momentum: 1}",
     "t.yaml:5: strategy.server_momentum: found 1, allowed 0 <= x < 1"},
    {"aggregation: {encoding: ring8}",
     "t.yaml:5: aggregation.encoding: found \"ring8\", allowed ring32, ring64, ring16 or float32"},
    {"data: {source: synthetic, silos: 4096}\naggregation: {encoding: ring16}",
     "t.yaml:3: aggregation.encoding: found ring16, allowed up to 4095 silos in a round, not 4096 "
     "(data.silos)"},
    {"data: {source: synthetic, silos: 9000}\nround: {participants: 5000}\n"
     "aggregation: {encoding: ring16}",
     "t.yaml:4: aggregation.encoding: found ring16, allowed up to 4095 silos in a round, not 5000 "
     "(round.participants)"},
    {"aggregation: {grid: public}", "t.yaml:5: aggregation.clip_norm: found 0, allowed at least "
                                    "1e-12 with aggregation.grid public\n"
                                    "t.yaml:5: aggregation.weight_max: found 0, allowed at least "
                                    "1e-06 with aggregation.grid public"},
    {"aggregation: {grid: public, clip_norm: 1e-100, weight_max: 9}",
     "t.yaml:5: aggregation.clip_norm: found 1e-100, allowed at least 1e-12 with aggregation.grid "
     "public"},
    {"strategy: {name: fednova}\naggregation: {grid: public, clip_norm: 2, weight_max: 9}",
     "t.yaml:6: aggregation.grid: found public, allowed only agreed, the default, with "
     "strategy.name fednova"},
    {"aggregation: {clip_norm: 2}",
     "t.yaml:5: aggregation.clip_norm: found 2, allowed only 0, the default, with aggregation.grid "
     "agreed"},
    {"aggregation: {grid: public, clip_norm: 2, weight_max: 9, encoding: ring16}",
     "t.yaml:5: aggregation.encoding: found ring16, allowed ring32 or ring64 with "
     "aggregation.grid public"},
    {"strategy: {name: scaffold}\naggregation: {grid: public, clip_norm: 2, weight_max: 9}",
     "t.yaml:6: aggregation.grid: found public, allowed only agreed, the default, with "
     "strategy.name scaffold"},
    {"aggregation: {between: mpi, encoding: float32}",
     "t.yaml:5: aggregation.between: found mpi, allowed auto or tree with aggregation.encoding "
     "float32, whose sums depend on their order"},
    {"aggregation: {between: fabric}",
     "t.yaml:5: aggregation.between: found \"fabric\", allowed auto, tree, direct or mpi"},
    {"aggregation: {ranks_per_node: 1000001}",
     "t.yaml:5: aggregation.ranks_per_node: found 1000001, " WHOLE("0", "1000000")},
    {"evaluate: {every: 10000001}",
     "t.yaml:5: evaluate.every: found 10000001, " WHOLE("0", "10000000")},
    {"evaluate: {metrics: [auc, rmse]}",
     "t.yaml:5: evaluate.metrics[1]: found \"rmse\", allowed " METRIC_NAMES},
    {"evaluate: {metrics: auc}",
     "t.yaml:5: evaluate.metrics: found \"auc\", allowed a list of at most 32, each " METRIC_NAMES},
    {"evaluate: {metrics: [accuracy]}",
     "t.yaml:5: evaluate.metrics[0]: found \"accuracy\", allowed " METRIC_NAMES},
    {"evaluate: {per_silo: yes}",
     "t.yaml:5: evaluate.per_silo: found \"yes\", allowed true or false"},
    {"evaluate: {bootstrap: {replicates: 99}}",
     "t.yaml:5: evaluate.bootstrap.replicates: found 99, allowed 0, or 100 to 10000"},
    {"evaluate: {bootstrap: {replicates: 10001}}",
     "t.yaml:5: evaluate.bootstrap.replicates: found 10001, " WHOLE("0", "10000")},
    {"evaluate: {every: 0, bootstrap: {replicates: 100}}",
     "t.yaml:5: evaluate.every: found 0, allowed at least 1 with evaluate.bootstrap"},
    {"evaluate: {bootstrap: {unit: person}}",
     "t.yaml:5: evaluate.bootstrap.unit: found \"person\", allowed row or silo"},
    {"evaluate: {minimum_rows: 0}",
     "t.yaml:5: evaluate.minimum_rows: found 0, " WHOLE("1", "4294967295")},
    {"checkpoint: {every: 10000001}",
     "t.yaml:5: checkpoint.every: found 10000001, " WHOLE("0", "10000000")},
    {"checkpoint: {hints: [cb_nodes=4, =8]}", HINT("=8")},
    {"checkpoint: {hints: [cb_nodes]}", HINT("cb_nodes")},
    {"checkpoint: {hints: [\"cb nodes=4\"]}", HINT("cb nodes=4")},
    {"checkpoint: {hints: [a23456789012345678901234567890ab=4]}",
     HINT("a23456789012345678901234567890ab=4")},
    {"checkpoint: {hints: [cb_nodes=0]}", HINT_NUMBER("cb_nodes=0")},
    {"checkpoint: {hints: [cb_nodes=-3]}", HINT_NUMBER("cb_nodes=-3")},
    {"checkpoint: {hints: [striping_factor=-1, striping_unit=1M]}",
     HINT_NUMBER("striping_unit=1M")},
    {"checkpoint: {hints: [cb_buffer_size=2147483648]}", HINT_NUMBER("cb_buffer_size=2147483648")},
    {"checkpoint: {hints: [cb_nodes=4, romio_ds_write=disable, cb_nodes=8]}",
     "t.yaml:5: checkpoint.hints: found \"cb_nodes=8\", allowed each key once"},
    {"checkpoint: {io: independent, hints: [cb_nodes=4]}",
     "t.yaml:5: checkpoint.hints: found 1, allowed none (checkpoint.io is independent)"},
    {"checkpoint: {keep: 0}", "t.yaml:5: checkpoint.keep: found 0, " WHOLE("1", "10000000")},
    {"run: {rounds: 2, placement: random}",
     "t.yaml:1: run.placement: found \"random\", allowed block or cyclic"},
    {"data: {source: cvs, silos: 2}",
     "t.yaml:2: data.source: found \"cvs\", allowed idx, hdf5, csv or synthetic"},
    {"data: {source: csv, silos: 2}",
     "t.yaml:2: data.train.file: is required; found nothing, allowed a path (data.source is csv)"},
    {"data: {source: csv, silos: 2, train: {file: a}, partition: {method: column}}",
     "t.yaml:2: data.partition.column: is required; found nothing, allowed a column's name "
     "(data.partition.method is column)"},
    {"data: {source: idx, silos: 2, train: {features: a, labels: b}, partition: {method: column, "
     "column: c}}",
     "t.yaml:2: data.partition.method: found column, allowed only with data.source csv or "
     "hdf5"},
    {"data: {source: csv, silo_tables: [{file: a}], partition: {method: column, column: c}}",
     "t.yaml:2: data.partition.method: found column, allowed only iid, the default, with "
     "data.silo_tables"},
    {"data: {source: synthetic, silos: 2, test_fraction: 0.91}",
     "t.yaml:2: data.test_fraction: found 0.91, allowed 0 <= x <= 0.9"},
    {"data: {source: synthetic, silos: 2, test_fraction: 0.1}",
     "t.yaml:2: data.test_fraction: found 0.1, allowed only 0 with data.synthetic.test_rows 20"},
    {"data: {source: hdf5, silos: 2, train: {file: a}, test: {file: b}, test_fraction: 0.1}",
     "t.yaml:2: data.test_fraction: found 0.1, allowed only 0 with data.test"},
    {"data: {source: hdf5, silos: 2, train: {file: a}, test_fraction: 0.5, validation_fraction: "
     "0.5}",
     "t.yaml:2: data.test_fraction: found 0.5, allowed at most 0.9 together with "
     "data.validation_fraction, which is 0.5"},
    {"data: {source: synthetic, silos: 2, schema: x}",
     "t.yaml:2: data.schema: found a path, allowed only with data.source csv or hdf5"},
    {"data: {source: csv, silos: 2, train: {file: a}, csv: {header: false}}",
     "t.yaml:2: data.csv.header: found false, allowed only with data.schema, which then names the "
     "columns"},
    {"data: {source: idx, silos: 2, train: {features: a, labels: b}}\npreprocess: {scale: min_max}",
     "t.yaml:3: preprocess.scale: found min_max, allowed only none with data.source idx"},
    {"preprocess: {clip: true}",
     "t.yaml:5: preprocess.clip: found true, allowed only with data.source csv or hdf5"},
    {"preprocess: {scale: default}",
     "t.yaml:5: preprocess.scale: found \"default\", allowed none, standardise or min_max"},
    {"data: {source: csv, silos: 2, train: {file: a}, csv: {separator: ';'}}",
     "t.yaml:2: data.csv.separator: found \";\", allowed comma, semicolon, tab, pipe, "
     "space, blanks or auto"},
    {"data: {source: synthetic, silos: 2, disclosure_threshold: 0}",
     "t.yaml:2: data.disclosure_threshold: found 0, " WHOLE("1", "1000000000")},
    {"data: {source: synthetic, silos: 2, partition: {method: random}}",
     "t.yaml:2: data.partition.method: found \"random\", allowed iid, dirichlet, shards or column"},
    /* between settings */
    {"run: {rounds: 2, name: a/b}",
     "t.yaml:1: run.name: found \"a/b\", allowed at most 64 letters, digits, '-', '_' and '.', a "
     "letter or digit first"},
    {"run: {rounds: 2, name: ..}",
     "t.yaml:1: run.name: found \"..\", allowed at most 64 letters, digits, '-', '_' and '.', a "
     "letter or digit first"},
    {"run: {rounds: 2, name: ''}",
     "t.yaml:1: run.name: found \"\", allowed at most 64 letters, digits, '-', '_' and '.', a "
     "letter or digit first"},
    {"run: {rounds: 2, name: a1234567890123456789012345678901234567890123456789012345678901234}",
     "t.yaml:1: run.name: found "
     "\"a1234567890123456789012345678901234567890123456789012345678901234\", allowed at most 64 "
     "letters, digits, '-', '_' and '.', a letter or digit first"},
    {"run: {rounds: 2, directory: ''}",
     "t.yaml:1: run.directory: found \"\", allowed the path of a folder"},
    {"data: {source: synthetic}",
     "t.yaml:2: data.silos: is required; found nothing, " WHOLE("1", "1000000")},
    /* A broken rule does not set off another. */
    {"data: {source: synthetic}\nround: {participants: 4}",
     "t.yaml:2: data.silos: is required; found nothing, " WHOLE("1", "1000000")},
    {"data: {source: synthetic, silos: x}\nround: {participants: 4}",
     "t.yaml:2: data.silos: found \"x\", " WHOLE("1", "1000000")},
    {"model: {type: softmax, hidden: [0]}",
     "t.yaml:3: model.hidden[0]: found 0, " WHOLE("1", "65536")},
    {"model: {type: mpl}", "t.yaml:3: model.type: found \"mpl\", allowed softmax, mlp, linear, "
                           "logistic, poisson, cnn or bag"},
    {"data: {sources: idx, train: {features: a}}",
     "t.yaml:2: data.sources: found an unknown key, allowed source, silos, train, silo_tables, "
     "test, partition, synthetic, split_seed, validation_fraction, test_fraction, stratify, limit, "
     "csv, "
     "schema, "
     "disclosure_threshold; nearest is data.source\n"
     "t.yaml:2: data.silos: is required; found nothing, " WHOLE("1", "1000000")},
    {"round: {participants: 4}",
     "t.yaml:5: round.participants: found 4, allowed 0 (all) to 3 (data.silos)"},
    {"model: {type: mlp}", "t.yaml:3: model.hidden: is required; found nothing, allowed 1 to 32 "
                           "widths (model.type is mlp)"},
    {"model: {type: softmax, hidden: [3]}",
     "t.yaml:3: model.hidden: found 1 widths, allowed none (model.type is softmax)"},
    {"model: {type: cnn}", "t.yaml:3: model.layers: is required; found nothing, allowed 1 to 64 "
                           "layers (model.type is cnn)"},
    {"model: {type: cnn, hidden: [3], layers: [{type: dropout, rate: 0.5}]}",
     "t.yaml:3: model.hidden: found 1 widths, allowed none (model.type is cnn)"},
    {"model: {type: mlp, hidden: [3], layers: [{type: dropout, rate: 0.5}]}",
     "t.yaml:3: model.layers: found 1 layers, allowed none (model.type is mlp)"},
    {"model: {type: linear, loss: poisson}",
     "t.yaml:3: model.loss: found poisson, allowed default, squared or huber (model.type is "
     "linear)"},
    {"model: {type: logistic, loss: cross_entropy}",
     "t.yaml:3: model.loss: found cross_entropy, allowed default or binary_cross_entropy "
     "(model.type is logistic)"},
    {"model: {type: softmax, loss: binary_cross_entropy}",
     "t.yaml:3: model.loss: found binary_cross_entropy, allowed default or cross_entropy "
     "(model.type is softmax)"},
    {"model: {type: softmax, embedding: 4}",
     "t.yaml:3: model.embedding: found 4, allowed only 0, the default (model.type is softmax)"},
    {"model: {type: mlp, hidden: [3], vocabulary: 4}",
     "t.yaml:3: model.vocabulary: found 4, allowed only 0, the default (model.type is mlp)"},
    {"model: {type: bag, vocabulary: 4}",
     "t.yaml:3: model.embedding: found 0, allowed more than 0 (model.type is bag)"},
    {"model: {type: bag, embedding: 4}",
     "t.yaml:3: model.vocabulary: found 0, allowed more than 0 (model.type is bag)"},
    {"model: {type: bag, embedding: 4, vocabulary: 16777217}",
     "t.yaml:3: model.vocabulary: found 16777217, " WHOLE("0", "16777216")},
    {"model: {type: cnn, layers: [{type: embedding}]}",
     "t.yaml:3: model.layers[0].type: found \"embedding\", allowed conv, max_pool, average_pool, "
     "group_norm, dropout or dense"},
    {"model: {type: softmax, label_smoothing: 1}",
     "t.yaml:3: model.label_smoothing: found 1, allowed 0 <= x < 1"},
    {"model: {type: linear, huber_delta: 0}",
     "t.yaml:3: model.huber_delta: found 0, allowed 0 < x <= 1e+06"},
    {"model: {type: cnn, layers: [{type: convolution, kernel: 3}]}",
     "t.yaml:3: model.layers[0].type: found \"convolution\", allowed conv, max_pool, average_pool, "
     "group_norm, dropout or dense"},
    {"model: {type: cnn, layers: [{type: conv}]}",
     "t.yaml:3: model.layers[0].filters: found nothing, allowed more than 0 (type is conv)\n"
     "t.yaml:3: model.layers[0].kernel: found nothing, allowed more than 0 (type is conv)"},
    {"model: {type: cnn, layers: [{type: max_pool, kernel: 2, filters: 3, activation: relu}]}",
     "t.yaml:3: model.layers[0].filters: found a value, allowed none (type is max_pool)\n"
     "t.yaml:3: model.layers[0].activation: found a value, allowed none (type is max_pool)"},
    {"model: {type: cnn, layers: [{type: dropout, rate: 0}, {type: group_norm, padding: same}]}",
     "t.yaml:3: model.layers[0].rate: found nothing, allowed more than 0 (type is dropout)\n"
     "t.yaml:3: model.layers[1].padding: found a value, allowed none (type is group_norm)\n"
     "t.yaml:3: model.layers[1].groups: found nothing, allowed more than 0 (type is group_norm)"},
    {"model: {type: cnn, layers: [{type: dense, width: 4}, {type: average_pool, kernel: 2}]}",
     "t.yaml:3: model.layers[1].type: found a layer of images behind a dense one, allowed dense or "
     "dropout (type is average_pool)"},
    {"model: {type: cnn, layers: [{type: dense, widht: 4}]}",
     "t.yaml:3: model.layers[0].widht: found an unknown key, allowed type, filters, width, kernel, "
     "stride, padding, activation, groups, rate; nearest is model.layers[0].width"},
    {"train: {learning_rate: 1, batch_size: 1, epochs: 2, steps: 3}",
     "t.yaml:4: train.steps: found epochs 2 and steps 3, allowed exactly one of them above 0"},
    {"train: {learning_rate: 1, batch_size: 1, epochs: 0}",
     "t.yaml:4: train.epochs: found epochs 0 and steps 0, allowed exactly one of them above 0"},
    {"train: {learning_rate: 0.5, batch_size: 1, schedule: {minimum: 0.6}}",
     "t.yaml:4: train.schedule.minimum: found 0.6, allowed 0 to 0.5 (train.learning_rate)"},
    {"train: {learning_rate: 1, batch_size: 1, schedule: {type: cosine, warmup_rounds: 2}}",
     "t.yaml:4: train.schedule.rounds: found 2, allowed more than 2 "
     "(train.schedule.warmup_rounds)"},
    {"train: {learning_rate: 1, batch_size: 1, optimizer: adam, momentum: 0.5}",
     "t.yaml:4: train.momentum: found 0.5, allowed only 0, the default, with train.optimizer adam"},
    {"train: {learning_rate: 1, batch_size: 1, optimizer: nesterov}",
     "t.yaml:4: train.momentum: found 0, allowed 0 < x < 1 with train.optimizer nesterov"},
    {"train: {learning_rate: 1, batch_size: 1, state: kept}",
     "t.yaml:4: train.state: found \"kept\", allowed reset or keep"},
    {"train: {learning_rate: 1, batch_size: 1, state: keep}",
     "t.yaml:4: train.state: found keep, allowed only reset, the default, with train.optimizer sgd "
     "and train.momentum 0, which keep nothing"},
    {"strategy: {name: fedprox}",
     "t.yaml:4: train.proximal_mu: found 0, allowed more than 0 with strategy.name fedprox"},
    {"train: {learning_rate: 1, batch_size: 1, seconds: 2}\nround: {replay: a}",
     "t.yaml:5: round.replay: found a file, allowed none with train.seconds, which no replay can "
     "repeat"},
    {"train: {learning_rate: 1, batch_size: 1, optimizer: adamw, proximal_mu: 0.5, epochs: 3, "
     "seconds: 1}\nstrategy: {name: fedsgd}",
     "t.yaml:4: train.optimizer: found adamw, allowed only sgd, the default, with strategy.name "
     "fedsgd\n"
     "t.yaml:4: train.proximal_mu: found 0.5, allowed only 0, the default, with strategy.name "
     "fedsgd\n"
     "t.yaml:4: train.epochs: found 3, allowed only 1, the default, with strategy.name fedsgd\n"
     "t.yaml:4: train.seconds: found 1, allowed only 0, the default, with strategy.name fedsgd"},
    {"train: {learning_rate: 1, batch_size: 1, momentum: 0.5, steps: 3}\n"
     "strategy: {name: fedsgd}",
     "t.yaml:4: train.momentum: found 0.5, allowed only 0, the default, with strategy.name fedsgd\n"
     "t.yaml:4: train.steps: found 3, allowed only 0, the default, with strategy.name fedsgd"},
    {"stop: {metric: test_loss}", "t.yaml:5: stop.metric: found \"test_loss\", allowed none, "
                                  "validation_loss or validation_accuracy"},
    {"stop: {patience: -1}", "t.yaml:5: stop.patience: found -1, " WHOLE("0", "10000000")},
    {"stop: {minimum_delta: -1}",
     "t.yaml:5: stop.minimum_delta: found -1, allowed 0 <= x <= 1e+06"},
    {"model: {type: poisson}\nstop: {metric: validation_accuracy}",
     "t.yaml:2: data.validation_fraction: found 0, allowed more than 0 with stop.metric "
     "validation_accuracy\n"
     "t.yaml:4: stop.metric: found validation_accuracy, allowed none or validation_loss with "
     "a model that predicts a number"},
    {"model: {type: mlp, hidden: [3], loss: squared}\nstop: {metric: validation_accuracy}",
     "t.yaml:2: data.validation_fraction: found 0, allowed more than 0 with stop.metric "
     "validation_accuracy\n"
     "t.yaml:4: stop.metric: found validation_accuracy, allowed none or validation_loss with "
     "a model that predicts a number"},
    {"stop: {metric: validation_loss}\nevaluate: {every: 0}",
     "t.yaml:6: evaluate.every: found 0, allowed at least 1 with stop.metric validation_loss\n"
     "t.yaml:2: data.validation_fraction: found 0, allowed more than 0 with stop.metric "
     "validation_loss"},
    {"round: {sampling: random}",
     "t.yaml:5: round.sampling: found \"random\", allowed uniform, size, cyclic or list"},
    {"round: {participants: 2, sampling: size}",
     "t.yaml:5: round.share_sizes: found false, allowed only true with round.sampling size: every "
     "rank learns how many rows each silo has"},
    {"round: {sampling: size, share_sizes: true}",
     "t.yaml:5: round.participants: found 0 (all), allowed at least 1 with round.sampling size"},
    {"round: {sampling: cyclic}",
     "t.yaml:5: round.participants: found 0 (all), allowed at least 1 with round.sampling cyclic"},
    {"round: {sampling: list}",
     "t.yaml:5: round.availability: found 0 entries, allowed 1 to 1000 with round.sampling list"},
    {"round: {availability: [{silos: [1]}]}",
     "t.yaml:5: round.availability: found 1 entries, allowed none with round.sampling uniform"},
    {"round: {sampling: list, availability: [{silos: [1]}, {silos: [2, 3, 4], from: 3, to: 2}]}",
     "t.yaml:5: round.availability[1].to: found 2, allowed 0 or at least 3 (from)\n"
     "t.yaml:5: round.availability[1].silos: found 3, allowed 0 to 2 (data.silos is 3)"},
    {"round: {sampling: list, quorum: 2, availability: [{silos: [0, 2], from: 2, to: 4}, "
     "{silos: [2], from: 9}]}",
     "t.yaml:5: round.availability: found 1 silos for round 1, allowed at least 2 (round.quorum)"},
    {"round: {sampling: list, availability: [{from: 3}]}",
     "t.yaml:5: round.availability[0].silos: is required; found nothing, allowed a list of at most "
     "1000, each a "
     "whole number from 0 to 999999"},
    {"round: {sampling: list, availability: [{silos: [x], from: 0}]}",
     "t.yaml:5: round.availability[0].silos[0]: found \"x\", " WHOLE(
         "0", "999999") "\n"
                        "t.yaml:5: round.availability[0].from: found 0, " WHOLE("1", "10000000")},
    {"data: {source: idx, silos: 2, train: {features: a}}",
     "t.yaml:2: data.train.labels: is required; found nothing, allowed a path (data.source is "
     "idx)"},
    {"data: {source: idx, silos: 2, train: {labels: a}}",
     "t.yaml:2: data.train.features: is required; found nothing, allowed a path (data.source is "
     "idx)"},
    {"data: {source: idx, silos: 2, train: {features: a, labels: b, file: c}}",
     "t.yaml:2: data.train.file: found \"c\", allowed nothing (data.source is idx)"},
    {"data: {source: hdf5, silos: 2}",
     "t.yaml:2: data.train.file: is required; found nothing, allowed a path (data.source is hdf5)"},
    {"data: {source: hdf5, silos: 2, train: {file: a, labels: b}}",
     "t.yaml:2: data.train.labels: found \"b\", allowed nothing (data.source is hdf5)"},
    {"data:\n  source: idx\n  silos: 2\n  train:\n    features: a\n    labels: b\n  test:\n"
     "    features: a",
     "t.yaml:8: data.test.labels: is required; found nothing, allowed a path (data.source is idx)"},
    {"data: {source: hdf5, silo_tables: [{file: a}, {}]}",
     "t.yaml:2: data.silo_tables[1].file: is required; found nothing, allowed a path (data.source "
     "is hdf5)"},
    {"data: {source: hdf5, silos: 3, silo_tables: [{file: a}, {file: b}]}",
     "t.yaml:2: data.silos: found 3, allowed only 2, the number of data.silo_tables, or none"},
    {"data: {source: hdf5, train: {file: c}, silo_tables: [{file: a}]}",
     "t.yaml:2: data.train: found a table, allowed none with data.silo_tables"},
    {"data: {source: hdf5, limit: 5, silo_tables: [{file: a}]}",
     "t.yaml:2: data.limit: found 5, allowed only 0, the default, with data.silo_tables"},
    {"data: {source: hdf5, partition: {method: shards}, silo_tables: [{file: a}]}",
     "t.yaml:2: data.partition.method: found shards, allowed only iid, the default, with "
     "data.silo_tables"},
    {"data: {source: synthetic, silos: 1, train: {file: c}}",
     "t.yaml:2: data.train: found a table, allowed none with data.source synthetic"},
    {"data: {source: synthetic, silos: 1, test: {file: c}}",
     "t.yaml:2: data.test: found a table, allowed none with data.source synthetic"},
    {"data: {source: synthetic, silos: 1, silo_tables: [{file: a}]}",
     "t.yaml:2: data.silo_tables: found 1 tables, allowed none with data.source synthetic"},
    {"data: {source: synthetic, silos: 1, limit: 3}",
     "t.yaml:2: data.limit: found 3, allowed only 0, the default, with data.source synthetic"},
    {"data: {source: synthetic, silos: 1, partition: {method: dirichlet}}",
     "t.yaml:2: data.partition.method: found dirichlet, allowed only iid, the default, with "
     "data.source synthetic"},
    {"data: {source: synthetic, silos: 1, synthetic: {minimum_rows: 20, maximum_rows: 10}}",
     "t.yaml:2: data.synthetic.minimum_rows: found 20, allowed 1 to 10 "
     "(data.synthetic.maximum_rows)"},
    /* what YAML has and a config has no use for */
    {"evaluate: &a {every: 1}", "t.yaml:5:11: found an anchor (&), allowed none"},
    {"evaluate: *a", "t.yaml:5:11: found an alias (*), allowed none"},
    {"evaluate: {every: !!int 1}", "t.yaml:5:19: found a tag (!), allowed none"},
    {"? [a]\n: b", "t.yaml:5:3: found a list or section as key, allowed the name of a setting"},
    {"---\nrun: {rounds: 3}", "t.yaml:5:1: found a second document, allowed one"},
    {"x: [[[[[[[[1]]]]]]]]", "t.yaml:5:11: found values nested too deep, allowed 8 levels"},
    /* what stops the parser */
    {"evaluate: {every: 1", "t.yaml:6:1: did not find expected ',' or '}' (while parsing a flow "
                            "mapping that starts in line 5)"},
    {"evaluate: \"abc", "t.yaml:6:1: found unexpected end of stream (while scanning a quoted "
                        "scalar that starts in line 5)"},
    {"\tevaluate: 1", "t.yaml:5:1: found character that cannot start any token"},
    {"evaluate: a: b", "t.yaml:5:12: mapping values are not allowed in this context"},
    {"evaluate: \x01", "t.yaml:5:11: control characters are not allowed"},
};

START_TEST(test_broken_rule) {
    must_fail(text_with(broken[_i].section), NULL, 0, broken[_i].message);
}
END_TEST

/* ---- all at once -------------------------------------------------------------------------- */

START_TEST(test_all_at_once) {
    const char *text = "run:\n  rounds: abc\n  sed: 4\n  name: a b\n"
                       "rond:\n  participants: 40\n"
                       "data:\n  source: synthetic\n  silos: 30\n  silos: 31\n"
                       "  train: {features: x}\n"
                       "model: {type: mlp, hidden: [0, 4, [2]]}\n"
                       "train:\n  momentum: 1.5\n  epochs: 2\n  steps: 3\n"
                       "evaluate: 7\n";
    const char *const overrides[] = {"checkpoint.keep=0", "noequals"};
    static const char *const fragments[] = {
        "--set noequals: found no '=', allowed section.key=value",
        "t.yaml:2: run.rounds: found \"abc\"",
        "t.yaml:3: run.sed: found an unknown key",
        "t.yaml:4: run.name: found \"a b\"",
        "t.yaml:5: rond: found an unknown key",
        "t.yaml:10: data.silos: found a second time (first in line 9)",
        "t.yaml:11: data.train: found a table",
        "t.yaml:12: model.hidden[0]: found 0",
        "t.yaml:12: model.hidden[2]: found a list",
        "t.yaml:13: train.learning_rate: is required; found nothing",
        "t.yaml:13: train.batch_size: is required; found nothing",
        "t.yaml:14: train.momentum: found 1.5",
        "t.yaml:16: train.steps: found epochs 2 and steps 3",
        "t.yaml:17: evaluate: found 7",
        "--set checkpoint.keep: found 0",
    };
    struct gr_config *config;
    ck_assert_int_eq(parse_text(text, overrides, 2, &config), GR_ERROR_CONFIG);
    for (size_t i = 0; i < COUNT(fragments); i++)
        ck_assert_msg(strstr(gr_message(), fragments[i]) != NULL, "%s\nis not in\n%s", fragments[i],
                      gr_message());
    ck_assert_uint_eq(count_lines(gr_message()), COUNT(fragments));
}
END_TEST

/* Of short lines fifty are shown, of long ones as many as a message holds; each is whole. */
START_TEST(test_listing_is_cut) {
    static const char word[] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
    char text[20000];
    struct gr_config *config;
    unsigned more = 0;
    size_t used = (size_t)snprintf(text, sizeof text, "%sobserve:\n", text_with(NULL));
    for (int i = 0; i < 70; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "  %.*s%02d: 1\n",
                                 i == 69 ? 1 : 1 + 5 * _i, word, i);
    ck_assert_int_eq(parse_text(text, NULL, 0, &config), GR_ERROR_CONFIG);
    size_t shown = count_lines(gr_message()) - 1;
    ck_assert_int_eq(sscanf(strrchr(gr_message(), '\n'), "\nand %u more", &more), 1);
    ck_assert_uint_eq(more + shown, 70);
    ck_assert_uint_lt(strlen(gr_message()), GR_MESSAGE_MAX - 100);
    /* None behind the cut, however short. */
    ck_assert_ptr_null(strstr(gr_message(), ".k69"));
    if (_i == 0)
        ck_assert_uint_eq(shown, 50);
    else
        ck_assert_uint_gt(shown, 20);
}
END_TEST

/* ---- defaults and given values ------------------------------------------------------------ */

/* As include/granary/config.h promises them. */
START_TEST(test_defaults) {
    struct gr_config *c = must_parse(text_with(NULL), NULL, 0);
    ck_assert_str_eq(c->run.name, "run");
    ck_assert_uint_eq(c->run.seed, 1);
    ck_assert_uint_eq(c->run.rounds, 2);
    ck_assert_str_eq(c->run.directory, "runs");
    ck_assert_int_eq(c->run.placement, GR_PLACEMENT_BLOCK);
    ck_assert_int_eq(c->data.source, GR_SOURCE_SYNTHETIC);
    ck_assert_uint_eq(c->data.silos, 3);
    ck_assert_str_eq(c->data.train.features, "");
    ck_assert_str_eq(c->data.test.file, "");
    ck_assert_uint_eq(c->data.silo_tables_count, 0);
    ck_assert_int_eq(c->data.partition.method, GR_PARTITION_IID);
    ck_assert_double_eq(c->data.partition.alpha, 0.3);
    ck_assert_uint_eq(c->data.partition.shards_per_silo, 2);
    ck_assert_uint_eq(c->data.partition.minimum_rows, 1);
    ck_assert_double_eq(c->data.synthetic.alpha, 1);
    ck_assert_double_eq(c->data.synthetic.beta, 1);
    ck_assert_uint_eq(c->data.synthetic.n_features, 60);
    ck_assert_uint_eq(c->data.synthetic.n_classes, 10);
    ck_assert_uint_eq(c->data.synthetic.minimum_rows, 50);
    ck_assert_uint_eq(c->data.synthetic.maximum_rows, 2000);
    ck_assert_uint_eq(c->data.synthetic.test_rows, 20);
    ck_assert_double_eq(c->data.validation_fraction, 0);
    ck_assert_double_eq(c->data.test_fraction, 0);
    ck_assert(c->data.stratify);
    ck_assert_uint_eq(c->data.limit, 0);
    ck_assert_int_eq(c->model.type, GR_MODEL_SOFTMAX);
    ck_assert_uint_eq(c->model.hidden_count, 0);
    ck_assert_int_eq(c->model.activation, GR_ACTIVATION_RELU);
    ck_assert_int_eq(c->model.initialisation, GR_INITIALISE_HE);
    ck_assert_int_eq(c->model.compute, GR_COMPUTE_FLOAT32);
    ck_assert_uint_eq(c->model.layers_count, 0);
    ck_assert_int_eq(c->model.loss, GR_LOSS_DEFAULT);
    ck_assert_uint_eq(c->model.embedding, 0);
    ck_assert_uint_eq(c->model.vocabulary, 0);
    ck_assert_double_eq(c->model.label_smoothing, 0);
    ck_assert_double_eq(c->model.huber_delta, 1);
    ck_assert_double_eq(c->train.learning_rate, 0.1);
    ck_assert_double_eq(c->train.momentum, 0);
    ck_assert_double_eq(c->train.weight_decay, 0);
    ck_assert_uint_eq(c->train.batch_size, 4);
    ck_assert_uint_eq(c->train.epochs, 1);
    ck_assert_uint_eq(c->train.steps, 0);
    ck_assert_int_eq(c->train.optimizer, GR_OPTIMIZER_SGD);
    ck_assert_int_eq(c->train.schedule.type, GR_SCHEDULE_CONSTANT);
    ck_assert_uint_eq(c->train.schedule.warmup_rounds, 0);
    ck_assert_uint_eq(c->train.schedule.every, 10);
    ck_assert_double_eq(c->train.schedule.factor, 0.5);
    ck_assert_double_eq(c->train.schedule.minimum, 0);
    ck_assert_uint_eq(c->train.schedule.rounds, 0);
    ck_assert_double_eq(c->train.beta1, 0.9);
    ck_assert_double_eq(c->train.beta2, 0.999);
    ck_assert_double_eq(c->train.epsilon, 1e-8);
    ck_assert_int_eq(c->train.state, GR_SOLVER_RESET);
    ck_assert_double_eq(c->train.max_gradient_norm, 0);
    ck_assert_double_eq(c->train.proximal_mu, 0);
    ck_assert_int_eq(c->train.class_weights, GR_CLASS_WEIGHTS_NONE);
    ck_assert_double_eq(c->train.seconds, 0);
    ck_assert_double_eq(gr_strategy_get(&c->strategy, "beta1"), 0.9);
    ck_assert_double_eq(gr_strategy_get(&c->strategy, "beta2"), 0.99);
    ck_assert_double_eq(gr_strategy_get(&c->strategy, "tau"), 0.001);
    ck_assert_uint_eq(c->round.participants, 0);
    ck_assert_int_eq(c->round.sampling, GR_SAMPLING_UNIFORM);
    ck_assert(!c->round.share_sizes);
    ck_assert_uint_eq(c->round.availability_count, 0);
    ck_assert_str_eq(c->strategy.name, "fedavg");
    ck_assert_double_eq(gr_strategy_get(&c->strategy, "server_learning_rate"), 1);
    ck_assert_double_eq(gr_strategy_get(&c->strategy, "server_momentum"), 0.9);
    ck_assert_int_eq(c->aggregation.encoding, GR_ENCODING_RING32);
    ck_assert_uint_eq(c->aggregation.ranks_per_node, 0);
    ck_assert_uint_eq(c->evaluate.every, 1);
    ck_assert_uint_eq(c->evaluate.metrics_count, 5);
    ck_assert_str_eq(c->evaluate.metrics[0], "balanced_accuracy");
    ck_assert_str_eq(c->evaluate.metrics[1], "macro_f1");
    ck_assert_str_eq(c->evaluate.metrics[2], "calibration_error");
    ck_assert(!c->evaluate.per_silo);
    ck_assert_uint_eq(c->evaluate.minimum_rows, 10);
    ck_assert_int_eq(c->stop.metric, GR_STOP_NONE);
    ck_assert_uint_eq(c->stop.patience, 10);
    ck_assert_double_eq(c->stop.minimum_delta, 0);
    ck_assert_uint_eq(c->checkpoint.every, 1);
    ck_assert_uint_eq(c->checkpoint.keep, 2);
    ck_assert(!c->run.rehearsal);
    ck_assert_uint_eq(c->round.quorum, 1);
    ck_assert_double_eq(c->round.deadline_s, 3600);
    ck_assert_double_eq(c->round.collective_deadline_s, 60);
    ck_assert_double_eq(c->round.heartbeat_s, 30);
    ck_assert_double_eq(c->round.start_deadline_s, 600);
    ck_assert(!c->round.respawn);
    ck_assert_str_eq(c->round.replay, "");
    ck_assert_double_eq(c->alerts.participation, 0.5);
    ck_assert_uint_eq(c->alerts.rounds, 3);
    ck_assert_uint_eq(c->faults_count, 0);
    gr_config_free(c);
}
END_TEST

/* A cosine ends with the run that it is first given for, and is then the resolved config's. */
START_TEST(test_cosine_takes_the_rounds) {
    static const char *const cosine[] = {"train.schedule.type=cosine", "run.rounds=40"};
    struct gr_config *c = must_parse(text_with(NULL), cosine, 2);
    ck_assert_uint_eq(c->train.schedule.rounds, 40);
    gr_config_free(c);
    static const char *const longer[] = {"train.schedule.type=cosine", "train.schedule.rounds=30",
                                         "run.rounds=50"};
    c = must_parse(text_with(NULL), longer, 3);
    ck_assert_uint_eq(c->train.schedule.rounds, 30);
    gr_config_free(c);
}
END_TEST

/* Steps alone are enough, though epochs have a default. */
START_TEST(test_steps_replace_epochs) {
    struct gr_config *c =
        must_parse(text_with("train: {learning_rate: 1, batch_size: 1, steps: 7}"), NULL, 0);
    ck_assert_uint_eq(c->train.epochs, 0);
    ck_assert_uint_eq(c->train.steps, 7);
    gr_config_free(c);
    static const char *const by_hand[] = {"train.steps=7"};
    c = must_parse(text_with(NULL), by_hand, 1);
    ck_assert_uint_eq(c->train.epochs, 0);
    gr_config_free(c);
}
END_TEST

START_TEST(test_silo_tables) {
    struct gr_config *c = must_parse(
        text_with("data:\n  source: idx\n  silo_tables:\n    - features: a.gz\n      labels: b\n"
                  "    - {features: 'c d', labels: \"\\u00e9\"}\n"
                  "  test: {features: e, labels: f}"),
        NULL, 0);
    ck_assert_uint_eq(c->data.silos, 2);
    ck_assert_uint_eq(c->data.silo_tables_count, 2);
    ck_assert_str_eq(c->data.silo_tables[0].features, "a.gz");
    ck_assert_str_eq(c->data.silo_tables[0].labels, "b");
    ck_assert_str_eq(c->data.silo_tables[0].file, "");
    ck_assert_str_eq(c->data.silo_tables[1].features, "c d");
    ck_assert_str_eq(c->data.silo_tables[1].labels, "\u00e9");
    ck_assert_str_eq(c->data.test.labels, "f");
    gr_config_free(c);
    /* Their number may be said as well. */
    c = must_parse(text_with("data: {source: hdf5, silos: 1, silo_tables: [{file: 'null'}]}"), NULL,
                   0);
    ck_assert_uint_eq(c->data.silos, 1);
    ck_assert_str_eq(c->data.silo_tables[0].file, "null");
    gr_config_free(c);
}
END_TEST

START_TEST(test_names) {
    ck_assert_str_eq(gr_encoding_text(GR_ENCODING_RING32), "ring32");
    ck_assert_str_eq(gr_encoding_text(GR_ENCODING_RING64), "ring64");
    ck_assert_str_eq(gr_encoding_text(GR_ENCODING_RING16), "ring16");
    ck_assert_str_eq(gr_encoding_text(GR_ENCODING_FLOAT32), "float32");
    ck_assert_str_eq(gr_activation_text(GR_ACTIVATION_RELU), "relu");
    ck_assert_str_eq(gr_activation_text(GR_ACTIVATION_GELU), "gelu");
    ck_assert_str_eq(gr_activation_text(GR_ACTIVATION_TANH), "tanh");
    ck_assert_str_eq(gr_activation_text(GR_ACTIVATION_NONE), "none");
    ck_assert_str_eq(gr_model_type_text(GR_MODEL_CNN), "cnn");
    ck_assert_str_eq(gr_layer_type_text(GR_LAYER_AVERAGE_POOL), "average_pool");
    ck_assert_str_eq(gr_padding_text(GR_PADDING_SAME), "same");
    ck_assert_str_eq(gr_loss_text(GR_LOSS_HUBER), "huber");
    ck_assert_str_eq(gr_compute_text(GR_COMPUTE_FLOAT32), "float32");
    ck_assert_str_eq(gr_compute_text(GR_COMPUTE_BFLOAT16), "bfloat16");
    ck_assert_str_eq(gr_partition_text(GR_PARTITION_IID), "iid");
    ck_assert_str_eq(gr_partition_text(GR_PARTITION_DIRICHLET), "dirichlet");
    ck_assert_str_eq(gr_partition_text(GR_PARTITION_SHARDS), "shards");
}
END_TEST

/* The examples, read from the top of the source tree, where the tests are run. */
START_TEST(test_examples) {
    struct gr_config *c = NULL;
    ck_assert_msg(gr_config_load("configs/fashion-mnist.yaml", NULL, 0, &c) == GR_OK, "%s",
                  gr_message());
    ck_assert_str_eq(c->run.name, "fashion-mnist");
    ck_assert_uint_eq(c->run.rounds, 20);
    ck_assert_uint_eq(c->data.silos, 8);
    ck_assert_int_eq(c->data.partition.method, GR_PARTITION_DIRICHLET);
    ck_assert_double_eq(c->data.partition.alpha, 0.3);
    ck_assert_uint_eq(c->model.hidden_count, 2);
    ck_assert_uint_eq(c->model.hidden[1], 200);
    ck_assert_double_eq(c->train.learning_rate, 0.05);
    ck_assert_uint_eq(c->checkpoint.every, 5);
    gr_config_free(c);
    ck_assert_msg(gr_config_load("configs/synthetic.yaml", NULL, 0, &c) == GR_OK, "%s",
                  gr_message());
    ck_assert_uint_eq(c->data.silos, 30);
    ck_assert_uint_eq(c->round.participants, 10);
    gr_config_free(c);
    ck_assert_msg(gr_config_load("configs/simulate-1000.yaml", NULL, 0, &c) == GR_OK, "%s",
                  gr_message());
    ck_assert_uint_eq(c->data.silos, 1000);
    gr_config_free(c);
    ck_assert_msg(gr_config_load("configs/fashion-mnist-cnn.yaml", NULL, 0, &c) == GR_OK, "%s",
                  gr_message());
    ck_assert_int_eq(c->model.type, GR_MODEL_CNN);
    ck_assert_uint_eq(c->model.layers_count, 5);
    ck_assert_int_eq(c->model.layers[0].type, GR_LAYER_CONV);
    ck_assert_uint_eq(c->model.layers[2].filters, 64);
    ck_assert_int_eq(c->model.layers[2].padding, GR_PADDING_SAME);
    ck_assert_int_eq(c->model.layers[2].activation, GR_ACTIVATION_DEFAULT);
    ck_assert_uint_eq(c->model.layers[3].kernel, 2);
    ck_assert_uint_eq(c->model.layers[4].width, 512);
    gr_config_free(c);
}
END_TEST

/* ---- overrides ---------------------------------------------------------------------------- */

START_TEST(test_overrides) {
    static const char *const overrides[] = {
        "run.rounds=5",
        "run.rounds=6", /* the later wins */
        "run.directory=a=b=c",
        "run.name=x.1",
        "model.type=mlp",
        "model.hidden=[64,32]",
        "data.partition={alpha: 4}",
        "data.synthetic.test_rows=3",
        "train.learning_rate=1e-3",
        "strategy.name=fedavgm",
        "data.test.file=''",
    };
    struct gr_config *c = must_parse(text_with(NULL), overrides, COUNT(overrides));
    ck_assert_uint_eq(c->run.rounds, 6);
    ck_assert_str_eq(c->run.name, "x.1");
    ck_assert_str_eq(c->run.directory, "a=b=c");
    ck_assert_uint_eq(c->model.hidden_count, 2);
    ck_assert_uint_eq(c->model.hidden[0], 64);
    ck_assert_uint_eq(c->model.hidden[1], 32);
    ck_assert_double_eq(c->data.partition.alpha, 4);
    ck_assert_uint_eq(c->data.synthetic.test_rows, 3);
    ck_assert_double_eq(c->train.learning_rate, 0.001);
    ck_assert_str_eq(c->strategy.name, "fedavgm");
    gr_config_free(c);
    /* Overrides alone are a config, and mend a broken one. */
    static const char *const all[] = {"run={rounds: 1}", "data={source: synthetic, silos: 1}",
                                      "model={type: softmax}", "train.batch_size=1",
                                      "train.learning_rate=1"};
    gr_config_free(must_parse("", all, COUNT(all)));
    gr_config_free(must_parse("run: {rounds: bad}\ndata:\nmodel: 3\ntrain:", all, COUNT(all)));
}
END_TEST

static const struct {
    const char *override, *message;
} broken_overrides[] = {
    {"run.rounds=0", "--set run.rounds: found 0, " WHOLE("1", "10000000")},
    {"run.rounds=", "--set run.rounds: is required; found nothing, " WHOLE("1", "10000000")},
    {"run.roundz=3", "--set run.roundz: found an unknown key, allowed name, seed, rounds, "
                     "directory, placement, rehearsal; nearest is run.rounds"},
    {"rounds=3",
     "--set rounds: found an unknown key, allowed run, data, silos, preprocess, model, train, "
     "round, "
     "strategy, aggregation, secure, privacy, evaluate, stop, checkpoint, alerts, observe, policy, "
     "gates, card, faults; "
     "nearest "
     "is "
     "run.rounds"},
    {"run=3", "--set run: found 3, allowed a section of name, seed, rounds, directory, placement, "
              "rehearsal"},
    {"run={seed: 4}", "--set run: run.rounds: is required; found nothing, " WHOLE("1", "10000000")},
    {"model={type: mlp, hidden: [1, x]}",
     "--set model: model.hidden[1]: found \"x\", " WHOLE("1", "65536")},
    {"round.participants=4",
     "--set round.participants: found 4, allowed 0 (all) to 3 (data.silos)"},
    {"run.rounds", "--set run.rounds: found no '=', allowed section.key=value"},
    {"", "--set : found no '=', allowed section.key=value"},
    {"=3", "--set : found no setting's name, allowed section.key=value"},
    {"run.=3", "--set run.: found no setting's name, allowed section.key=value"},
    {"run..rounds=3", "--set run..rounds: found no setting's name, allowed section.key=value"},
    {"run.rounds.x=3",
     "--set run.rounds.x: found a key below what is no section, allowed section.key=value"},
    {"a.b.c.d.e.f.g.h.i=3",
     "--set a.b.c.d.e.f.g.h.i: found no setting's name, allowed section.key=value"},
    {"run.rounds=[3", "--set run.rounds: 2:1: did not find expected ',' or ']' (while parsing a "
                      "flow sequence that starts in line 1)"},
    {"run.rounds=&a 3", "--set run.rounds: 1:1: found an anchor (&), allowed none"},
    {"run.name=\xff", "--set run.name: found bytes that are not UTF-8, allowed section.key=value"},
};

START_TEST(test_broken_override) {
    must_fail(text_with(NULL), &broken_overrides[_i].override, 1, broken_overrides[_i].message);
}
END_TEST

/* A section that an override began is where its required keys are missed. */
START_TEST(test_section_begun_by_override) {
    static const char *const overrides[] = {"run.seed=3"};
    must_fail(strchr(text_with(NULL), '\n') + 1, overrides, 1,
              "--set run.seed: run.rounds: is required; found nothing, " WHOLE("1", "10000000"));
}
END_TEST

/* What is not 0 here and would be in float32; and what would be 1. */
START_TEST(test_numbers_of_float32) {
    static const struct {
        const char *override, *message;
    } refused[] = {
        {"train.learning_rate=1e-50",
         "found 1e-50, which is 0 in float32, allowed at least 1.2e-38"},
        {"train.weight_decay=1e-46",
         "found 1e-46, which is 0 in float32, allowed at least 1.2e-38"},
        {"train.proximal_mu=1e-40", "found 1e-40, which is 0 in float32, allowed at least 1.2e-38"},
        {"train.max_gradient_norm=1e-40",
         "found 1e-40, which is 0 in float32, allowed at least 1.2e-38"},
        {"strategy.server_learning_rate=1e-40",
         "found 1e-40, which is 0 in float32, allowed at least 1.2e-38"},
        {"strategy.tau=1e-20", "found 1e-20, which is 0 in float32, allowed at least 1.1e-19"},
        {"train.momentum=0.999999999", "allowed at most 0.9999999: float32 holds no more below 1"},
        {"strategy.server_momentum=0.999999999",
         "allowed at most 0.9999999: float32 holds no more below 1"},
        {"model.classes=1", "found 1, allowed 0 (as many as there are) or at least 2"},
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct gr_config *config = NULL;
        ck_assert_int_eq(gr_config_parse("t.yaml", text_with(NULL), strlen(text_with(NULL)),
                                         (const char *[]){refused[i].override}, 1, &config),
                         GR_ERROR_CONFIG);
        ck_assert_msg(strstr(gr_message(), refused[i].message), "%s", gr_message());
    }
    /* 0.1 halved 140 times is less than float32 holds; with a minimum it is not. */
    const char *falls[] = {"train.schedule={type: step, every: 1, factor: 0.5}", "run.rounds=140",
                           "train.learning_rate=0.1", "train.schedule.minimum=1e-9"};
    must_fail(
        text_with(NULL), falls, 3,
        "--set train.schedule: train.schedule.minimum: found 0, allowed more than 0 where the "
        "learning rate falls 139 times by 0.5: in float32 it is 0 in the end");
    gr_config_free(must_parse(text_with(NULL), falls, 4));
    must_fail(text_with(NULL), (const char *[]){"model={type: logistic}", "model.classes=3"}, 2,
              "--set model.classes: found 3, allowed 0 or 2 (the loss is binary_cross_entropy)");
    must_fail(text_with(NULL), (const char *[]){"model={type: linear}", "model.classes=3"}, 2,
              "--set model.classes: found 3, allowed only 0, the default, for a loss of numbers");
}
END_TEST

START_TEST(test_class_weights_of_numbers) {
    static const char *const models[] = {"model={type: linear}", "model={type: poisson}",
                                         "model={type: mlp, hidden: [3], loss: squared}"};
    for (size_t i = 0; i < COUNT(models); i++)
        must_fail(text_with(NULL), (const char *[]){models[i], "train.class_weights=balanced"}, 2,
                  "--set train.class_weights: found balanced, allowed only "
                  "none, the default, for a loss of numbers");
    gr_config_free(
        must_parse(text_with(NULL),
                   (const char *[]){"model={type: logistic}", "train.class_weights=balanced"}, 2));
}
END_TEST

START_TEST(test_too_many_overrides) {
    static const char *many[1001];
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = "run.rounds=3";
    gr_config_free(must_parse(text_with(NULL), many, 1000));
    must_fail(text_with(NULL), many, 1001,
              "t.yaml: found 1001 overrides, allowed at most 1000, 1048576 bytes in all");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config");
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, test_broken_rule, 0, (int)COUNT(broken));
    tcase_add_test(rules, test_all_at_once);
    tcase_add_loop_test(rules, test_listing_is_cut, 0, 11);
    suite_add_tcase(suite, rules);
    TCase *values = tcase_create("values");
    tcase_add_test(values, test_defaults);
    tcase_add_test(values, test_steps_replace_epochs);
    tcase_add_test(values, test_cosine_takes_the_rounds);
    tcase_add_test(values, test_silo_tables);
    tcase_add_test(values, test_names);
    tcase_add_test(values, test_examples);
    tcase_add_test(values, test_overrides);
    tcase_add_loop_test(values, test_broken_override, 0, (int)COUNT(broken_overrides));
    tcase_add_test(values, test_section_begun_by_override);
    tcase_add_test(values, test_class_weights_of_numbers);
    tcase_add_test(values, test_numbers_of_float32);
    tcase_add_test(values, test_too_many_overrides);
    suite_add_tcase(suite, values);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
