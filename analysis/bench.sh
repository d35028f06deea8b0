#!/usr/bin/env bash
# The figures of `granary help figures`, each with the command that gives it. Nothing here is asserted:
# machines are noisy; ratios are taken in turn, medians of several.
#   analysis/bench.sh BUILD [SECTION]...
# Sections: digests accuracy rate aggregate latency small overhead thousand silos checkpoint memory lost tolerance
#   encodings medians letters noise sealing post institutions secure masked masked_sites sites_round private bootstrap sweep compare many hundred
# The comparisons with PyTorch and scikit-learn need `jobs/deps.sh --peers`; without them those lines say so.
set -u
BUILD=$(cd "$1" && pwd); shift
TOP=$(cd "$(dirname "$0")/.." && pwd)
export GRANARY=$BUILD/granary
# Debian's python3-torch belongs to Debian's python3.
PYTHON=${PYTHON:-/usr/bin/python3}
. "$TOP/tests/environment.sh"
DATA=/usr/share/datasets/fashion-mnist
WORK=$(mktemp -d "$TOP/build/bench-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
SECTIONS=${*:-digests accuracy rate aggregate latency small overhead thousand silos checkpoint memory lost tolerance encodings medians letters noise sealing post institutions secure masked masked_sites sites_round private bootstrap sweep}

say() { printf '\n== %s\n' "$*"; }
shown() { printf '$ %s\n' "$*"; }
# ranks N WORDS...: mpirun of the command.
# shellcheck disable=SC2086
ranks() { local n=$1; shift; mpirun $MPIRUN_FLAGS -n "$n" "$@"; }
have_torch() { "$PYTHON" -c "import torch, mpi4py" 2>/dev/null || { echo "(no PyTorch and mpi4py here: jobs/deps.sh --peers)"; return 1; }; }
# column FILE KEY: the values of a number in metrics.jsonl, one a line.
column() { grep -o "\"$2\": *[-0-9.e+]*" "$1" | sed 's/.*: *//'; }
median() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

digests() {
    say "digest of model.h5: ranks, reduce algorithms, placement, kill and resume"
    local n
    for n in 1 2 3 4 8; do
        ranks $n "$GRANARY" train "$TOP/configs/fashion-mnist.yaml" --quiet --run demo-$n --set run.rounds=3
        ranks $n "$GRANARY" train "$TOP/configs/synthetic.yaml" --quiet --run synthetic-$n
        printf '%d ranks: demo %s  synthetic %s\n' $n "$("$GRANARY" inspect --digest demo-$n/model.h5)" \
            "$("$GRANARY" inspect --digest synthetic-$n/model.h5)"
    done
    shown "tests/run.sh $BUILD all digests; tests/run.sh $BUILD all resume"
    (cd "$TOP" && tests/run.sh "$BUILD" all system/test_digests; tests/run.sh "$BUILD" all system/test_resume)
}

medians() {
    say "coordinate median of 8 silos, 10 million parameters: by slices, and gathered for numpy.median"
    shown "mpirun -n 8 $BUILD/analysis/bench_median"
    ranks 8 "$BUILD/analysis/bench_median"
    "$PYTHON" -c 'import numpy, time
rows = numpy.random.default_rng(1).standard_normal((8, 10000000), dtype=numpy.float32)
times = []
for _ in range(3):
    begin = time.perf_counter()
    numpy.median(rows, axis=0)
    times.append(time.perf_counter() - begin)
print(f"numpy.median of 8 rows on rank 0, behind the MPI_Gather: {sorted(times)[1] * 1e3:.0f} ms")'
}

accuracy() {
    say "test accuracy, mean of rounds 16 to 20, 3 seeds, against PyTorch with the same silos"
    local seed ours theirs
    for seed in 1 2 3; do
        ranks 8 "$GRANARY" train "$TOP/configs/fashion-mnist.yaml" --quiet --run accuracy-$seed --set run.seed=$seed --set data.split_seed=$seed
        ours=$(column accuracy-$seed/metrics.jsonl test_accuracy | tail -n 5 | awk '{s += $1} END {printf "%.4f", s / NR}')
        theirs=
        if have_torch; then
            "$BUILD/analysis/bench_partition" $DATA/train-labels-idx1-ubyte.gz 8 0.3 $seed 0 silos-$seed
            theirs=$(ranks 2 "$PYTHON" "$TOP/analysis/peers/fedavg_torch.py" --partition silos-$seed --seed $seed | tail -n 1)
        fi
        echo "seed $seed: granary $ours, PyTorch + mpi4py $theirs"
    done
}

rate() {
    say "local training and scoring, samples per processor second on one core, in turn with PyTorch and scikit-learn"
    "$TOP/analysis/bench_train.sh" "$BUILD" 5 0.2
}

private() {
    say "private steps on one core, beside plain ones and PyTorch's"
    shown "bench_private mlp 2; bench_private cnn 5 16 64 256 1024"
    "$BUILD/analysis/bench_private" mlp 2
    "$BUILD/analysis/bench_private" cnn 5 16 64 256 1024
    have_torch || return 0
    shown "private_rate_torch.py mlp 2; private_rate_torch.py cnn 5 16 64 256"
    "$PYTHON" "$TOP/analysis/peers/private_rate_torch.py" mlp 2
    "$PYTHON" "$TOP/analysis/peers/private_rate_torch.py" cnn 5 16 64 256
}

# A table of rows by number: 4 numbers, a class, and 8 columns of 5 groups.
grouped_rows() {
    awk -v n="$1" 'BEGIN { srand(1); printf "a,b,c,d,y"; for (j = 0; j < 8; j++) printf ",g%d", j; print ""
        for (i = 0; i < n; i++) { a = rand(); b = rand()
            printf "%.3f,%.3f,%.3f,%.3f,%s", a, b, rand(), rand(), rand() < (a + b) / 2 ? "yes" : "no"
            k = i; for (j = 0; j < 8; j++) { printf ",%s", substr("vwxyz", k % 5 + 1, 1); k = int(k / 5) + i }
            print "" } }'
}

bootstrap() {
    local way i rows=${ROWS:-1250000}
    say "the last evaluation: 0.8 of $rows rows of 200 silos, in 40 groups, on 2 ranks: without and with 500 replicates"
    grouped_rows "$rows" >grouped.csv
    { echo 'columns:'; for i in a b c d; do echo "- {name: $i, type: number, range: [0, 1]}"; done
        echo '- {name: y, type: label, categories: [no, yes]}'
        for i in 0 1 2 3 4 5 6 7; do echo "- {name: g$i, type: category, categories: [v, w, x, y, z], encode: one_hot}"; done; } >grouped-schema.yaml
    cat >grouped.yaml <<YAML
run: {name: grouped, rounds: 1}
data: {source: csv, schema: grouped-schema.yaml, silos: 200, train: {file: grouped.csv}, test_fraction: 0.8}
model: {type: logistic}
train: {learning_rate: 0.1, batch_size: 100, steps: 1, epochs: 0}
evaluate: {slices: [g0, g1, g2, g3, g4, g5, g6, g7]}
YAML
    for i in 1 2 3; do
        for way in 0 500; do
            rm -rf grouped-$way
            ranks 2 /usr/bin/time -f "peak %M KiB" "$GRANARY" train grouped.yaml --quiet --run "grouped-$way" --set "evaluate.bootstrap.replicates=$way" 2>&1 | xargs
            echo "$way replicates: $(column grouped-$way/metrics.jsonl evaluate | tail -n 1) s"
        done
    done
}

aggregate() {
    say "whole aggregation of 25 million parameters against MPI_Reduce + MPI_Bcast of the same floats"
    local n nodes
    for n in 2 4; do
        for nodes in 0 1; do
            shown "mpirun -n $n bench_aggregate $nodes 25000000"
            ranks $n "$BUILD/analysis/bench_aggregate" $nodes 25000000
        done
    done
}

latency() {
    say "a sum of 5 million parameters (20 MB) between nodes that are 10 ms apart, emulated: direct and tree"
    local n way
    for n in 2 4 8 16; do
        for way in direct tree; do
            shown "mpirun -n $n bench_latency 10 5000000 $way"
            ranks $n "$BUILD/analysis/bench_latency" 10 5000000 $way
        done
    done
}

# wall RANKS CONFIG ROUNDS: seconds of a whole run.
wall() {
    local started
    started=$(date +%s.%N)
    ranks "$1" "$GRANARY" train "$2" --quiet --run wall --set run.rounds="$3" || echo failed >&2
    echo "$(date +%s.%N) $started" | awk '{print $1 - $2}'
    mv wall wall-last-$3 2>/dev/null
}
# a_round RANKS CONFIG FEW MANY: wall seconds of a round, all of it (records, agreement): the
# difference of two runs, so that the launch is not in it.
a_round() {
    local few many
    rm -rf wall-last-*
    few=$(wall "$1" "$2" "$3")
    many=$(wall "$1" "$2" "$4")
    echo "$few $many" | awk -v n=$(($4 - $3)) '{printf "%.8f\n", ($2 - $1) / n}'
}

# small.yaml: 8 silos with 100 images each, MLP 784-200-200-10.
small_silos() {
    "$GRANARY" import --features $DATA/train-images-idx3-ubyte.gz --labels $DATA/train-labels-idx1-ubyte.gz --rows 800 -o small.h5
    cat >small.yaml <<YAML
run: {name: small, rounds: 1}
data: {source: hdf5, silos: 8, train: {file: small.h5}, partition: {method: iid}}
model: {type: mlp, hidden: [200, 200]}
train: {learning_rate: 0.05, batch_size: 32}
evaluate: {every: 0}
checkpoint: {every: 0}
YAML
}

small() {
    say "8 silos with 100 images each, MLP, 8 ranks: seconds a round; launch to the end of round 1"
    small_silos
    for _ in 1 2 3 4 5; do a_round 8 small.yaml 1 301; done | median | sed 's/^/granary, wall seconds a round: /'
    column wall-last-301/metrics.jsonl total | median | sed 's/^/granary, median seconds.total of rank 0: /'
    for _ in 1 2 3 4 5; do rm -rf wall-last-*; wall 8 small.yaml 1; done | median |
        sed 's/^/granary, launch to the end of a run of one round, seconds: /'
    if have_torch; then
        "$BUILD/analysis/bench_partition" $DATA/train-labels-idx1-ubyte.gz 8 1000000 1 800 silos-small
        ranks 8 "$PYTHON" "$TOP/analysis/peers/fedavg_torch.py" --partition silos-small --rounds 40 | tail -n 1 | sed 's/^/PyTorch + mpi4py, 8 ranks: /'
    fi
}

# overhead.yaml: 8 silos, 1,000 parameters, hardly any rows.
little() {
    cat >overhead.yaml <<YAML
run: {name: overhead, rounds: 1}
data: {source: synthetic, silos: 8, synthetic: {alpha: 1, beta: 1, features: 99, classes: 10, minimum_rows: 20, maximum_rows: 21, test_rows: 1}}
model: {type: softmax}
train: {learning_rate: 0.01, batch_size: 10}
evaluate: {every: 0}
checkpoint: {every: 0}
YAML
}

overhead() {
    say "overhead of a round beyond local training, 8 silos, 1,000 parameters, 2 ranks, seconds"
    little
    for _ in 1 2 3 4 5; do
        local whole
        whole=$(a_round 2 overhead.yaml 1000 21000)
        # Half of the processor seconds of both ranks' training is what one of them trains.
        column wall-last-21000/metrics.jsonl cpu_seconds_train |
            awk -v whole="$whole" '{s += $1} END {printf "%.8f\n", whole - s / NR / 2}'
    done | median | sed 's/^/wall time of a round minus training: /'
}

# peak N CONFIG RUN [WORDS]: the most memory that one of N ranks had.
peak() {
    # shellcheck disable=SC2086
    WORDS="$2 --quiet --run $3 ${*:4}" mpirun $MPIRUN_FLAGS -n "$1" -x WORDS bash -c '
        ulimit -c 0
        # shellcheck disable=SC2086
        "$GRANARY" train $WORDS & pid=$!
        while kill -0 $pid 2>/dev/null; do
            now=$(sed -n "s/VmHWM:[^0-9]*\([0-9]*\).*/\1/p" /proc/$pid/status 2>/dev/null); most=${now:-$most}; sleep 0.05
        done
        echo peak $most KiB' | sort -k2 -n | tail -n 1
}

thousand() {
    say "1,000 silos, 10 sampled a round, softmax 784-10, batch 10, 100 rounds, 2 ranks: training wall time"
    shown "mpirun -n 2 granary train configs/simulate-1000.yaml"
    ranks 2 "$GRANARY" train "$TOP/configs/simulate-1000.yaml" --quiet --run thousand
    column thousand/metrics.jsonl total | awk '{s += $1} END {print "seconds in 100 rounds: " s}'
    say "peak memory of a rank in 5,000 rounds of the same; to reach data + 8 P + 150 MiB = 150 MiB and the data"
    peak 2 "$TOP/configs/simulate-1000.yaml" thousand-peak --set run.rounds=5000 --set checkpoint.every=1000
    "$GRANARY" inspect thousand/model.h5 | sed -n 's/^ *parameters/parameters/p' | head -n 1
    say "the same with an MLP of 0.8 MiB, 10 and 1,000 silos a round; to reach data + 8 P + 60 MiB"
    local participants
    for participants in 10 1000; do
        echo "$participants: $(peak 2 "$TOP/configs/simulate-1000.yaml" thousand-$participants --set run.rounds=3 \
            --set model.type=mlp --set model.hidden=[200,200] --set round.participants=$participants)"
    done
}

# Two lengths of run differ by so many rounds that the start, of up to half a minute, goes out.
silos() {
    say "a round beyond local training, 10 and 100 participants of ever more silos, 20 parameters, seconds"
    cat >silos.yaml <<YAML
run: {name: silos, rounds: 1}
data: {source: synthetic, silos: 100, validation_fraction: 0, synthetic: {alpha: 1, beta: 1, features: 9, classes: 2, minimum_rows: 4, maximum_rows: 5, test_rows: 1}}
model: {type: softmax}
round: {participants: 10}
train: {learning_rate: 0.01, batch_size: 10}
evaluate: {every: 0}
checkpoint: {every: 0}
YAML
    local n many drawn number whole
    for number in 1 2; do
        for drawn in 10 100; do
            for n in 100 1000 10000 100000 1000000; do
                many=21000
                [ $n = 1000000 ] && many=101000
                sed "s/silos: 100,/silos: $n,/; s/participants: 10/participants: $drawn/" silos.yaml >silos-$n.yaml
                whole=$(a_round $number silos-$n.yaml 1000 $many)
                column wall-last-$many/metrics.jsonl cpu_seconds_train |
                    awk -v whole="$whole" -v number=$number -v what="$drawn of $n silos, ranks: $number" \
                        '{s += $1} END {printf "%s: %.7f\n", what, whole - s / NR / number}'
            done
        done
    done
}

checkpoint() {
    say "checkpoint of 100 million parameters against one write + fsync of the same bytes"
    local n
    for n in 2 4; do
        shown "mpirun -n $n bench_checkpoint FOLDER"
        ranks $n "$BUILD/analysis/bench_checkpoint" "$WORK"
    done
}

memory() {
    say "peak memory of a rank: data D, parameters P bytes; to reach D + 6 P + 60 MiB"
    # 4 silos on 4 ranks, a model of 25 million parameters: P = 96 MiB.
    cat >memory.yaml <<YAML
run: {name: memory, rounds: 2}
data: {source: synthetic, silos: 4, synthetic: {alpha: 1, beta: 1, minimum_rows: 50, maximum_rows: 60}}
model: {type: mlp, hidden: [4940, 4940]}
train: {learning_rate: 0.001, batch_size: 32}
YAML
    peak 4 memory.yaml memory
    local n
    n=$("$GRANARY" inspect memory/model.h5 | sed -n 's/ *parameters *//p' | head -n 1)
    echo "parameters $n, P = $((n * 4 / 1024)) KiB; bound $((6 * n * 4 / 1024 + 60 * 1024)) KiB"
}

# lost_round N FAULT: of N runs of 20 rounds with the fault in round 12, the milliseconds of that round
# beyond the median of the five before it; largest, median.
lost_round() {
    local i
    for ((i = 0; i < $1; i++)); do
        rm -rf lost
        "$GRANARY" run -n 8 --restarts 0 lost.yaml --quiet --run lost --set "faults=[{round: 12, $2}]" \
            >lost.out 2>&1 </dev/null || { echo "failed: $(tail -n 1 lost.out)" >&2; continue; }
        { column lost/metrics.jsonl total | sed -n 7,11p | median; column lost/metrics.jsonl total | sed -n 12p; } |
            awk 'NR == 1 {usual = $1} NR == 2 {print 1000 * ($1 - usual)}'
    done | sort -g | awk -v what="$2" '{v[NR] = $1} END {
        printf "%-46s median %7.1f ms, largest %7.1f ms, of %d runs\n", what, v[int((NR + 1) / 2)], v[NR], NR}'
}

lost() {
    say "8 silos on 8 ranks, 256,510 parameters: extra time of the round in which a rank is killed, or stopped for good"
    cat >lost.yaml <<YAML
run: {name: lost, rounds: 20, rehearsal: true}
data: {source: synthetic, silos: 8, synthetic: {alpha: 1, beta: 1, features: 500, classes: 10, minimum_rows: 200, maximum_rows: 201, test_rows: 5}}
model: {type: mlp, hidden: [500]}
train: {learning_rate: 0.01, batch_size: 20}
round: {deadline_s: 1.5, collective_deadline_s: 1}
YAML
    "$GRANARY" version --verbose | grep 'fault tolerance'
    local point
    for point in train ready aggregate commit evaluate record checkpoint; do
        lost_round 5 "kind: kill, silo: 5, point: $point"
    done
    lost_round 5 "kind: kill, silo: 0, point: aggregate"
    echo "the deadline is 1.5 s for training, 1 s for what follows:"
    lost_round 3 "kind: stop, silo: 5, point: train"
    lost_round 3 "kind: stop, silo: 5, point: aggregate"
    lost_round 3 "kind: stop, silo: 0, point: aggregate"
}

# compare_tolerance RANKS CONFIG FEW MANY: seconds of a round with and without, and their ratio; the
# medians of seven pairs in turn.
compare_tolerance() {
    local i with without
    for ((i = 0; i < 7; i++)); do
        with=$(a_round "$@")
        without=$(GRANARY_FAULT_TOLERANCE=off a_round "$@")
        echo "$with $without"
    done >pairs
    awk '{print $1}' pairs | median | sed 's/^/with: /'
    awk '{print $2}' pairs | median | sed 's/^/without: /'
    awk '{print $1 / $2}' pairs | median | sed 's/^/ratio: /'
    awk '{print 1e6 * ($1 - $2)}' pairs | median | sed 's/^/microseconds more: /'
}

tolerance() {
    say "cost of fault tolerance where nothing fails: wall seconds of a round, against GRANARY_FAULT_TOLERANCE=off"
    small_silos
    echo "8 ranks, MLP 784-200-200-10 on 100 images a silo:"
    compare_tolerance 8 small.yaml 1 301
    little
    echo "8 ranks, 1,000 parameters on 20 rows a silo:"
    compare_tolerance 8 overhead.yaml 100 5100
    echo "2 ranks, the same:"
    compare_tolerance 2 overhead.yaml 1000 21000
}

encodings() {
    say "encodings on the demo, 30 rounds, 8 silos on 2 ranks: accuracy (mean of rounds 26 to 30), bytes; sums of 25 million"
    local encoding seed
    for seed in 1 2 3; do
        for encoding in ring32 ring16 ring64; do
            ranks 2 "$GRANARY" train "$TOP/configs/fashion-mnist.yaml" --quiet --run $encoding-$seed --set run.rounds=30 \
                --set run.seed=$seed --set data.split_seed=$seed --set aggregation.encoding=$encoding --set checkpoint.every=0
            column $encoding-$seed/metrics.jsonl bytes_sent | awk '{s += $1} END {print s}' >bytes-$encoding
            echo "seed $seed, $encoding: accuracy $(column $encoding-$seed/metrics.jsonl test_accuracy | tail -n 5 |
                awk '{s += $1} END {printf "%.4f", s / NR}'), bytes $(cat bytes-$encoding), of ring32's \
$(paste bytes-$encoding bytes-ring32 | awk '{printf "%.4f", $1 / $2}')"
        done
    done
    for nodes in 0 1; do
        shown "mpirun -n 2 bench_aggregate $nodes 25000000"
        ranks 2 "$BUILD/analysis/bench_aggregate" $nodes 25000000
    done
}

letters() {
    say "control messages of rank 0 with 10,000 silos, 1,000 of them drawn: in a round, and in one in which a rank dies"
    local n
    for n in 16 64; do
        shown "mpirun --enable-recovery -n $n bench_letters 0 10000 1000"
        ranks $n --enable-recovery "$BUILD/analysis/bench_letters" 0 10000 1000 2>&1 | grep -a ranks
    done
}

noise() {
    say "noise of differential privacy: samples a second of one core, by standard deviation"
    shown "bench_noise"
    "$BUILD/analysis/bench_noise"
}

sealing() {
    say "letters between institutions: 25 million parameters sealed and opened, one thread"
    shown "bench_sealing 25000000"
    "$BUILD/analysis/bench_sealing" 25000000
}

post() {
    say "letters over https on the loopback, three sites, in turn with libcurl alone; and what waits"
    shown "bench_post"
    "$BUILD/analysis/bench_post"
    shown "bench_post idle 60"
    "$BUILD/analysis/bench_post" idle 60
}

# 30 sites take some 5 GB, 100 (SITES=100) 12 GB. On a busy machine: chrt -r 1 analysis/bench.sh BUILD institutions.
institutions() {
    say "a sum between institutions over https on the loopback, three sites, in turn with libcurl alone, up and down"
    local n encoding
    shown "bench_study 3 PARAMETERS ENCODING"
    for n in 1000 100000 1000000 10000000 25000000; do
        for encoding in ring16 ring32 ring64; do
            OMPI_MCA_ess_singleton_isolated=1 "$BUILD/analysis/bench_study" 3 $n $encoding | head -n 1
        done
    done
    say "memory of the coordinator by sites, 25 million parameters; to reach 6 P"
    shown "bench_study SITES 25000000 ring32 0"
    for n in 3 10 ${SITES:-30}; do
        echo "$n sites: $(OMPI_MCA_ess_singleton_isolated=1 "$BUILD/analysis/bench_study" $n 25000000 ring32 0)"
    done
}

secure() {
    say "secure sums: processor time of a party, by parties and parameters"
    local n
    for n in 1000 100000 1000000; do
        shown "bench_secure $n"
        "$BUILD/analysis/bench_secure" $n
    done
}

# times FILE: medians of a round's records, in ms: beyond training, and of the evaluation.
times() {
    local key
    for key in aggregate evaluate; do
        grep -o "\"$key\":[0-9.e-]*" "$1" | cut -d: -f2 | sort -g | awk '{ t[NR] = $1 } END { printf "%.1f ", 1000 * t[int((NR + 1) / 2)] }'
    done
}
# summed RANKS HIDDEN WORDS...: the times of such rounds.
summed() {
    rm -rf summed
    $ALONE "$GRANARY" run -n "$1" masked.yaml --quiet --run summed --set "model.hidden=[$2]" "${@:3}" >/dev/null 2>&1
    times summed/metrics.jsonl
}
# With `chrt -r 1` before the script the other work of a machine counts less. The bound is the plain sum and 1.3 times what
# the key streams take at their own rate: of each silo a self mask and one with each silo of another rank, and all self
# masks once more.
masked() {
    say "a round beyond training, 8 silos: sums that are plain, and secure sums; beside them the evaluation, with the keys of the sums that follow"
    local ranks hidden plain secure parameters digest rounds ALONE='' cores rate
    cores=$(getconf _NPROCESSORS_ONLN)
    rate=$("$BUILD/analysis/bench_secure" 1000000 | awk '$1 == 8 { print $1 * $3 * 4 / $8 / 1e6 }')
    echo "key stream: $rate GB/s on one of $cores cores"
    cat >masked.yaml <<'YAML'
run: {name: masked, rounds: 21}
data: {source: synthetic, silos: 8, synthetic: {features: 60, classes: 10, minimum_rows: 10, maximum_rows: 12, test_rows: 2}}
model: {type: mlp, hidden: [16]}
train: {learning_rate: 0.1, batch_size: 32}
aggregation: {grid: public, clip_norm: 1, weight_max: 1000}
evaluate: {every: 0}
checkpoint: {every: 100}
YAML
    for hidden in 16 140 320,250 1000,900 3000,3200; do
        rounds=21; [ $hidden = 3000,3200 ] && rounds=7
        for ranks in 1 2 4 8; do
            plain=$(summed $ranks "$hidden" --set run.rounds=$rounds); digest=$("$GRANARY" inspect --digest summed/model.h5)
            parameters=$(awk -v h="$hidden" 'BEGIN { n = split("60," h ",10", w, ","); for (i = 1; i < n; i++) p += w[i] * w[i + 1] + w[i + 1]; print p }')
            secure=$(summed $ranks "$hidden" --set run.rounds=$rounds --set secure.aggregation=true)
            shown "$parameters parameters, $ranks ranks"
            echo "$plain $secure $ranks $parameters $rate $cores" | awk '{
                streams = 8 * (10 - 8 / $5)
                printf "plain %.1f ms, secure %.1f ms (bound %.1f); evaluation %.1f, %.1f ms; ", $1, $3, $1 + 1.3 * streams * $6 * 4 / ($7 * 1e6) / ($5 < $8 ? $5 : $8), $2, $4 }'
            [ "$("$GRANARY" inspect --digest summed/model.h5)" = "$digest" ] && echo "one digest" || echo "ANOTHER DIGEST"
        done
    done
    say "the same on one core, a rank for each silo, over 8: what each takes if it has a core of its own"
    ALONE="taskset -c 0"
    for hidden in 16 1000,900; do
        plain=$(summed 8 "$hidden"); secure=$(summed 8 "$hidden" --set secure.aggregation=true)
        echo "$plain $secure" | awk -v h="$hidden" '{ printf "hidden [%s]: plain %.1f ms, secure %.1f ms; evaluation %.1f, %.1f ms\n", h, $1 / 8, $3 / 8, $2 / 8, $4 / 8 }'
    done
}

# sites_once EVERY SECURE: three sites of one rank by https on the loopback, 40 rounds that are scored every EVERY; the times.
sites_once() {
    local i port pin pids
    rm -rf run own-*
    sed -i "s/^evaluate:.*/evaluate: {every: $1}/; s/^secure:.*/secure: {aggregation: $2}/" study.yaml
    "$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
    "$GRANARY" coordinate study.yaml --key coordinator-keys --run run --listen 127.0.0.1:0 >coordinator.log 2>&1 </dev/null &
    pids=$!
    until grep -q "listening on port" coordinator.log; do sleep 0.1; done
    port=$(sed -n 's/.*listening on port \([0-9]*\);.*/\1/p' coordinator.log)
    pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' coordinator.log)
    for i in 1 2 3; do
        printf 'site: {key: %s-keys, directory: own-%s}\nmailbox: {url: "https://127.0.0.1:%s", pin: "%s"}\nsilos: [{name: site-%s, file: %s.csv}]\n' \
            $i $i $port "$pin" $i $i >site-$i.yaml
        "$GRANARY" approve study.yaml --site site-$i.yaml --yes >/dev/null 2>&1
        "$GRANARY" join site-$i.yaml --study study.yaml >join-$i.log 2>&1 </dev/null &
        pids="$pids $!"
    done
    for i in $pids; do wait $i || echo "a party ended with $?" >&2; done
    times run/metrics.jsonl
}
masked_sites() {
    say "three sites by https on the loopback, 50 parameters: a round beyond training, plain and with secure sums"
    local every plain secure
    mkdir masked_sites && cd masked_sites || return
    hundred_files 3
    sed -i 's/^run:.*/run: {rounds: 40}/; s/type: number/type: number, range: [0, 1]/g' study.yaml
    printf 'aggregation: {grid: public, clip_norm: 1, weight_max: 200}\ncheckpoint: {every: 100}\nsecure: {aggregation: false}\n' >>study.yaml
    for every in 100 1; do
        plain=$(sites_once $every false); secure=$(sites_once $every true)
        echo "scored every $every rounds: the sum and the evaluation, plain $plain ms, secure $secure ms"
    done
    cd ..
}

sites_round() {
    local every
    say "three sites by https on the loopback, 1,002 parameters: a round beyond training; to reach 10 ms"
    mkdir sites_round && cd sites_round || return
    hundred_files 3
    sed -i 's/^run:.*/run: {rounds: 400}/; s/hidden: .8./hidden: [200]/' study.yaml
    printf 'checkpoint: {every: 1000}\nsecure: {aggregation: false}\n' >>study.yaml
    for every in 1000 1; do
        echo "scored every $every rounds: the sum and the evaluation $(sites_once $every false)ms, all beyond training" \
            "$(paste <(column run/metrics.jsonl total) <(column run/metrics.jsonl train) | awk '{print 1000 * ($1 - $2)}' | median) ms"
    done
    cd ..
}

# hundred_files SITES: tables, keys and a signed study of SITES sites in the working folder, and its trial.
hundred_files() {
    local i sites='' tables=''
    "$GRANARY" keygen coordinator-keys >/dev/null 2>&1
    for ((i = 1; i <= $1; i++)); do
        awk -v s=$((i * 7919)) 'function draw() { s = (s * 69069 + 12345) % 4294967296; return s / 4294967296 }
            BEGIN { print "glucose,weightkg,sick"
                for (i = 0; i < 60; i++) { x = draw(); y = draw(); printf "%.4f,%.4f,%s\n", x, y, (x + y + draw() > 1.5 ? "yes" : "no") } }' >$i.csv
        "$GRANARY" keygen $i-keys >/dev/null 2>&1
        sites="$sites${sites:+, }{name: site-$i, key: $(cat $i-keys/public.key)}" tables="$tables site-$i=$i.csv"
    done
    cat >study.yaml <<YAML
study: {name: trial, coordinator: $(cat coordinator-keys/public.key), sites: [$sites]}
schema: {columns: [{name: glucose, type: number}, {name: weightkg, type: number}, {name: sick, type: label, categories: ["no", "yes"]}]}
data: {source: csv, validation_fraction: 0.2}
round: {collective_deadline_s: 60, start_deadline_s: 200}
run: {rounds: 50}
preprocess: {scale: standardise}
model: {type: mlp, hidden: [8]}
train: {learning_rate: 0.05, batch_size: 16}
evaluate: {every: 10}
policy: {minimum_silos: 3}
YAML
    "$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
    # shellcheck disable=SC2086
    "$GRANARY" study trial study.yaml $tables -o trial >/dev/null
}

# absences SITES ROUNDS: round.availability in which each silo is away for a fifth of the rounds, by chance.
absences() {
    awk -v sites="$1" -v rounds="$2" 'BEGIN { srand(15); printf "["
        for (s = 0; s < sites; s++) for (r = 1; r <= rounds; r++)
            if (rand() < 0.8) printf "%s{silos: [%d], from: %d, to: %d}", n++ ? ", " : "", s, r, r
        print "]" }'
}

# Asked for alone: a hundred processes, of 35 MB each, and as many that MPI starts beside them.
hundred() {
    local n=${SITES:-100} i started port pin pids=''
    say "a study of $n sites, 50 rounds: simulated with random absence, on 2 ranks and on $n; $n jobs over https"
    mkdir hundred && cd hundred || return
    hundred_files $n
    echo "  availability: $(absences $n 50)" >absences
    sed -e '/^  availability:/{r absences' -e 'd}' -e 's/^  sampling:.*/  sampling: list/' trial/config.yaml >trial/absent.yaml
    for i in 2 $n; do
        started=$(date +%s.%N)
        "$GRANARY" run -n $i trial/absent.yaml --run absent-$i --quiet </dev/null >absent.log 2>&1 || echo "failed: $(tail -n 1 absent.log)"
        echo "$i ranks: $(date +%s.%N) $started $("$GRANARY" inspect --digest absent-$i/model.h5)" | awk '{printf "%s ranks, seconds: %.1f, model %s\n", $1, $3 - $4, $5}'
    done
    "$GRANARY" run -n 2 trial/config.yaml --run whole --quiet </dev/null >/dev/null 2>&1
    "$GRANARY" coordinate study.yaml --key coordinator-keys --run run --listen 127.0.0.1:0 >coordinator.log 2>&1 </dev/null &
    pids=$!
    until grep -q "listening on port" coordinator.log; do sleep 0.1; done
    port=$(sed -n 's/.*listening on port \([0-9]*\);.*/\1/p' coordinator.log)
    pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' coordinator.log)
    for ((i = 1; i <= n; i++)); do
        printf 'site: {key: %s-keys, directory: own-%s}\nmailbox: {url: "https://127.0.0.1:%s", pin: "%s"}\nsilos: [{name: site-%s, file: %s.csv}]\n' \
            $i $i $port "$pin" $i $i >site-$i.yaml
        "$GRANARY" approve study.yaml --site site-$i.yaml --yes >/dev/null 2>&1
    done
    started=$(date +%s.%N)
    for ((i = 1; i <= n; i++)); do
        "$GRANARY" join site-$i.yaml --study study.yaml >join-$i.log 2>&1 </dev/null &
        pids="$pids $!"
    done
    for i in $pids; do wait $i || echo "a party ended with $?"; done
    echo "$(date +%s.%N) $started" | awk '{printf "jobs over https, seconds: %.1f\n", $1 - $2}'
    echo "model $("$GRANARY" inspect --digest run/model.h5), simulated without absence $("$GRANARY" inspect --digest whole/model.h5)"
    cd ..
}

own_run() {
    "$GRANARY" train "$TOP/configs/synthetic.yaml" --quiet --run "own/$1-$2-$3" --set run.rounds=40 --set checkpoint.every=5 \
        --set train.learning_rate="$1" --set train.epochs="$2" --set run.seed="$3"
}
seconds_since() { echo "$(date +%s.%N) $1" | awk '{printf "%.1f", $1 - $2}'; }
sweep() {
    say "40 runs of 40 rounds, two at a time: by themselves, and as a sweep that is killed after 2 s and gone on with"
    local times=0 began own job swept
    shown "granary sweep configs/synthetic.yaml --over train.learning_rate=0.01,0.02,0.05,0.1 --over train.epochs=1,5 --seeds 5"
    local words=("$TOP/configs/synthetic.yaml" --over train.learning_rate=0.01,0.02,0.05,0.1 --over train.epochs=1,5
        --seeds 5 --set run.rounds=40 --set checkpoint.every=5 --quiet --jobs 2 --run swept)
    export -f own_run; export TOP
    for times in 1 2 3; do
        rm -rf own swept; mkdir own
        began=$(date +%s.%N)
        for run in {0.01,0.02,0.05,0.1}" "{1,5}" "{1..5}; do echo "$run"; done | xargs -P2 -L1 bash -c 'own_run "$0" "$1" "$2"' >/dev/null 2>&1
        own=$(seconds_since "$began") began=$(date +%s.%N)
        "$GRANARY" sweep "${words[@]}" >/dev/null 2>&1 & job=$!
        sleep 2; kill -9 $job; wait $job 2>/dev/null
        "$GRANARY" sweep "${words[@]}" >/dev/null || echo "the sweep ended with $?"
        swept=$(seconds_since "$began")
        echo "by themselves $own s, swept $swept s, ratio $(echo "$swept $own" | awk '{printf "%.2f", $1 / $2}'); runs with all rounds: \
$(wc -l swept/p*-s*/metrics.jsonl | grep -c '^ *40 ')"
    done
}

# Asked for alone: it needs the tables of jobs/make-heart-disease.sh in the folder HEART.
compare() {
    say "four hospitals: federated, pooled, alone and left out, five seeds"
    mkdir -p configs && cp -r "$TOP/configs/." configs && ln -sfn "${HEART:?the folder of the tables}" heart-disease
    shown "granary compare configs/heart-disease.yaml --seeds 5 --leave-one-out --set policy.minimum_silos=1 --metric auc"
    time "$GRANARY" compare configs/heart-disease.yaml --seeds 5 --leave-one-out --set policy.minimum_silos=1 --metric auc \
        --run compared --quiet
}

# Not among those that are run unasked: it takes minutes, and the memory of 256 processes.
many() {
    local n=${RANKS:-256}
    say "$n ranks on this machine, 10,000 silos: start, rounds, a death, the end"
    shown "mpirun --enable-recovery -n $n bench_letters 0 10000 1000"
    time ranks "$n" --enable-recovery "$BUILD/analysis/bench_letters" 0 10000 1000 2>&1 | grep -a 'ranks\|largest'
    cat >many.yaml <<YAML
run: {name: many, rounds: 4, rehearsal: true}
data: {source: synthetic, silos: 10000, synthetic: {features: 8, classes: 3, minimum_rows: 20, maximum_rows: 30, test_rows: 5}}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 10}
round: {deadline_s: 300, collective_deadline_s: 120}
checkpoint: {every: 2}
faults: [{kind: kill, silo: 5000, round: 2, point: train}]
YAML
    shown "granary run -n $n --restarts 0 many.yaml"
    time "$GRANARY" run -n "$n" --restarts 0 many.yaml --run many 2>&1 </dev/null | tail -n 12
    echo "participants, and seconds of a round: $(column many/metrics.jsonl participants | xargs), \
$(column many/metrics.jsonl total | xargs)"
}

echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(getconf _NPROCESSORS_ONLN) cores"
"$GRANARY" version --verbose
for section in $SECTIONS; do $section; done
