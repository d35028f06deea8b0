#!/usr/bin/env bash
# Bad input: one clear line on stderr, the documented exit code from mpirun, no hang, nothing left.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables

# refused CODE TEXT WORDS...: under mpirun, with exactly one line of granary's that holds TEXT.
refused() {
    local code=$1 text=$2; shift 2
    exits "$code" on_ranks 3 train "$@" --quiet --run refused || return 1
    says "$text" || return 1
    equal "$(grep -c '^granary: ' "$ERR")" 1 || return 1
    [ ! -e refused ] || { echo "  a run directory was left"; rm -rf refused; return 1; }
}
features() { echo "--set data.train.features=$1"; }
labels() { echo "--set data.train.labels=$1"; }

# Configs
check "missing config" refused 78 "nothing.yaml" nothing.yaml
check "a folder" refused 78 "." .
sed 's/learning_rate/learnig_rate/' small.yaml >misspelt.yaml
check "misspelt key" refused 78 "learning_rate" misspelt.yaml
sed 's/rounds: 6/rounds: six/' small.yaml >type.yaml
check "wrong type" refused 78 "run.rounds" type.yaml
check "impossible value" refused 78 "train.learning_rate" small.yaml --set train.learning_rate=-1
printf 'run: {rounds: 1\n' >open.yaml
check "not YAML" refused 78 "open.yaml:" open.yaml
sed 's/rounds: 6/rounds: 6, rounds: 7/' small.yaml >twice.yaml
check "duplicate key" refused 78 "rounds" twice.yaml
sed 's/name: small/name: "\xff\xfe"/' small.yaml >latin.yaml
check "invalid UTF-8" refused 78 "UTF-8" latin.yaml
{ printf 'run: {rounds: 1, name: '; head -c 10000000 /dev/zero | tr '\0' x; echo '}'; } >huge.yaml
check "10 MB string" refused 78 "huge.yaml" huge.yaml
sed -e 's/rounds: 6/rounds: 0/' -e 's/alpha: 0.5/alpha: -2/' -e 's/batch_size: 8/batch_size: 0/' \
    -e 's/every: 2/evry: 2/' -e 's/seed: 3/seed: x/' small.yaml >five.yaml
exits 78 on_ranks 2 train five.yaml
for rule in run.rounds data.partition.alpha train.batch_size checkpoint.evry run.seed; do
    check "five rules at once: $rule" says "$rule"
done
check "unknown override" refused 78 "train.learning_rate" small.yaml --set train.learningrate=1
check "override without a value" refused 78 "--set" small.yaml --set train.learning_rate
check "more participants than silos" refused 78 "round.participants" small.yaml --set round.participants=10
check "more ranks than silos" refused 64 "3 ranks for 2 silos" small.yaml --set data.silos=2

# IDX
head -c 5000 train-images >short-images
check "shorter than it says" refused 65 "short-images" small.yaml $(features short-images)
{ cat train-images; echo more; } >long-images
check "longer than it says" refused 65 "long-images" small.yaml $(features long-images)
head -c 3000 train-images.gz >cut-images.gz
check "truncated gz" refused 65 "cut-images.gz" small.yaml $(features cut-images.gz)
head -c 3000 train-images.gz >part; tail -c +3100 train-images.gz >>part; mv part torn-images.gz
check "damaged gz" refused 65 "torn-images.gz" small.yaml $(features torn-images.gz)
perl -e 'print pack("NNNN", 0x803, 0xffffffff, 0xffff, 0xffff)' >lying-images
check "lying size" refused 65 "lying-images" small.yaml $(features lying-images)
perl -e 'print pack("NNNN", 0x803, 403, 0, 6)' >flat-images
check "no features" refused 65 "flat-images" small.yaml $(features flat-images)
: >empty
check "empty file" refused 65 "empty" small.yaml $(features empty)
check "labels for features" refused 65 "train-labels" small.yaml $(features train-labels.gz)
check "another number of labels" refused 65 "90" small.yaml $(labels test-labels)
check "missing file" refused 65 "absent" small.yaml $(features absent)
idx_images wide-images 90 1
perl -e 'print pack("NNNN", 0x803, 90, 5, 5), "x" x 2250' >narrow-images
check "test table of another width" refused 65 "25" small.yaml --set data.test.features=narrow-images
idx_labels few-labels 4; idx_images few-images 4 1
check "a silo with no rows" refused 78 "minimum_rows" small.yaml $(features few-images) $(labels few-labels)
perl -e 'print pack("NN", 0x801, 403); print chr($_ % 3 + 1) for 0 .. 402' >other-labels
check "labels that the test table has not" exits 0 on_ranks 2 train small.yaml --quiet --run other $(labels other-labels)

# HDF5
"$GRANARY" import --features train-images.gz --labels train-labels.gz -o train.h5 >/dev/null
hdf5="small.yaml --set data.source=hdf5 --set data.train.features='' --set data.train.labels=''
      --set data.test.features='' --set data.test.labels=''"
hdf5() { refused 65 "$1" $hdf5 --set "data.train.file=$1"; }
head -c 6000 train.h5 >cut.h5
check "truncated HDF5" hdf5 cut.h5
check "an IDX file as HDF5" hdf5 train-images
perl -e 'open my $f, "<", $ARGV[0]; binmode $f; local $/; my $d = <$f>; my $at = index $d, substr(`cat train-images`, 5016, 32);
         die "no such row" if $at < 0; substr($d, $at, 1) ^= "\x40"; binmode STDOUT; print $d' train.h5 >flipped.h5
check "one bit of a row flipped" hdf5 flipped.h5
# The unit tests make such files through the C library; here they go through the whole command.
if /usr/bin/python3 -c 'import h5py, numpy' 2>/dev/null; then
    /usr/bin/python3 - <<'PY'
import h5py, numpy
def table(name, features, labels):
    with h5py.File(name, "w") as f:
        f["features"] = features
        f["labels"] = labels
n = 40
x = numpy.random.rand(n, 5).astype("f4")
y = (numpy.arange(n) % 3).astype("i4")
bad = x.copy(); bad[17, 2] = numpy.nan
table("nan.h5", bad, y)
table("double.h5", numpy.where(x > 0.5, 1e300, x.astype("f8")), y)
table("text.h5", numpy.array([b"a"] * n), y)
table("flat.h5", x[:, 0], y)
table("fewer.h5", x, y[:-1])
low = y.copy(); low[3] = -1
table("negative.h5", x, low)
table("fraction.h5", x, y + 0.5)
with h5py.File("outside.h5", "w") as f:
    f["features"] = h5py.ExternalLink("nan.h5", "/features"); f["labels"] = y
with h5py.File("loop.h5", "w") as f:
    f["features"] = h5py.SoftLink("/other"); f["other"] = h5py.SoftLink("/features"); f["labels"] = y
PY
    for file in nan double text flat fewer negative fraction outside loop; do
        check "HDF5: $file" hdf5 $file.h5
    done
    check "NaN is placed" exits 65 on_ranks 2 train $hdf5 --set data.train.file=nan.h5
    check "row 17" says "17"
fi

# A model file whose seal is right and whose metadata make libhdf5 crash.
hostile=$TESTS/fuzz/corpus/model/hostile.h5
check "a hostile model" exits 65 "$GRANARY" inspect "$hostile"
check "says so" says "hostile.h5: damaged"
check "to be evaluated, on ranks" exits 65 on_ranks 2 evaluate "$hostile" train.h5
check "says so once" equal "$(grep -c 'hostile.h5: damaged' "$ERR")" 1

# Models of which only the contents are hostile: sealed anew, as anybody can.
if /usr/bin/python3 -c 'import h5py, numpy' 2>/dev/null; then
    printf '%s\n' x,y,died 1,2,no 2,1,yes 3,2,no 4,5,yes >people.csv
    printf '%s\n' columns: ' - {name: x, type: number}' ' - {name: y, type: number}' \
        ' - {name: died, type: label, categories: [no, yes]}' >people.yaml
    printf '%s\n' 'run: {rounds: 1}' 'model: {type: logistic}' 'train: {learning_rate: 0.1, batch_size: 4}' \
        'data: {source: csv, silos: 1, train: {file: people.csv}, schema: people.yaml}' \
        'preprocess: {scale: standardise}' >people-run.yaml
    check "a model to be changed" exits 0 "$GRANARY" train people-run.yaml --quiet --run people
    /usr/bin/python3 - <<'PY'
import h5py, hashlib, numpy, shutil, struct
def model(name, change):
    shutil.copy("people/model.h5", name)
    with h5py.File(name, "r+") as f:
        change(f)
    b = bytearray(open(name, "rb").read())
    b[12:512] = bytes(500)
    b[16:24] = struct.pack("<Q", len(b))
    b[32:64] = hashlib.blake2b(b, digest_size=32).digest()
    open(name, "wb").write(b)
def text(f, old, new):
    words = bytes(f["preprocessing"][:]).replace(old, new)
    del f["preprocessing"]
    f["preprocessing"] = numpy.frombuffer(words, "u1")
def elsewhere(f):
    del f["preprocessing"]
    f["preprocessing"] = h5py.ExternalLink("people/model.h5", "/preprocessing")
def architecture(f, old, new):
    words = f.attrs["architecture"]
    words = words if isinstance(words, str) else words.decode()
    f.attrs["architecture"] = numpy.bytes_(words.replace(old, new))
model("same.h5", lambda f: None)
model("elsewhere.h5", elsewhere)
model("bound.h5", lambda f: text(f, b"name: x", b"name: x\n  censored: [low]"))
model("classes.h5", lambda f: architecture(f, '"classes":2', '"classes":3'))
PY
    check "sealed anew it is a model" exits 0 "$GRANARY" predict same.h5 people.csv -o same.csv
    for what in elsewhere bound classes; do
        check "a hostile model: $what" exits 65 "$GRANARY" predict $what.h5 people.csv -o no.csv
        check "is named" says "granary: $what.h5: "
    done
    check "no file of it" [ ! -e no.csv ]
fi

# A run that diverges is told by silo and ends.
check "diverging" exits 65 on_ranks 2 train small.yaml --quiet --run diverged --set train.learning_rate=1000 --set train.weight_decay=1 --set round.quorum=9
check "says that silos sit out" says "silos sit out"
check "and what may help" says "train.learning_rate"
finish
