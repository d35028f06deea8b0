# Clinics' tables and a run with differential privacy of their rows, for the system tests.

# clinic SEED ROWS: a table of ages, blood pressures, wards and who died.
clinic() {
    awk -v seed="$1" -v n="$2" 'BEGIN { srand(seed); print "age,bp,ward,died"
        for (i = 0; i < n; i++) { age = 30 + int(55 * rand())
            printf "%d,%d,%s,%s\n", age, 100 + int(60 * rand()), i % 3 == 1 ? "east" : "west", rand() < age / 100 ? "yes" : "no" } }'
}
# make_clinics ROWS [N]: tables 1.csv to N.csv (3) of so many rows, their schema, and run.yaml.
make_clinics() {
    local i tables='' silos=''
    for i in $(seq "${2:-3}"); do
        clinic "$i" "$1" >"$i.csv"
        tables="$tables${tables:+, }{file: $i.csv}" silos="$silos${silos:+, }{directory: own$i}"
    done
    cat >schema.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120]}
- {name: bp, type: number, range: [50, 250]}
- {name: ward, type: category, categories: [east, west], encode: one_hot}
- {name: died, type: label, categories: [no, yes]}
YAML
    cat >run.yaml <<YAML
run: {name: private, rounds: 3}
data: {source: csv, schema: schema.yaml, silo_tables: [$tables]}
preprocess: {scale: min_max}
model: {type: logistic}
train: {learning_rate: 0.5, batch_size: 24, epochs: 0, steps: 10}
silos: [$silos]
privacy:
  unit: row
  clip_norm: 1
  noise_multiplier: 1.2
  expected_batch: 24
  expected_units: 250
  budget: {epsilon: 5, delta: 1.0e-4}
YAML
}
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
# field RUN NAME: of its manifest, without quotes.
field() { sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$1/manifest.json" | head -1; }
# entries FOLDER [RELEASE]: charges in a silo's ledger, of a kind of release or all.
entries() { grep -c "\"entry\":.*\"release\":\"${2:-}" "$1/privacy-ledger"; }
