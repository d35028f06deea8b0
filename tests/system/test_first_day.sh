#!/usr/bin/env bash
# Sixty and more first commands that are wrong, each with the exit code and the words by which a
# person finds on. "wrong CODE WORDS COMMAND...": what stands in the message.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
sh "$TOP/jobs/make-hospital.sh" hospital 200 >/dev/null
cp "$TOP/configs/schemas/hospital.yaml" schema.yaml
cat >config.yaml <<'YAML'
run: {name: first, rounds: 2}
data:
  source: csv
  silos: 3
  train: {file: hospital/train.csv}
  schema: schema.yaml
model: {type: logistic}
train: {learning_rate: 0.05, batch_size: 16}
YAML
cp config.yaml "my config.yaml"
cp hospital/test.csv "my table.csv"
"$GRANARY" import hospital/test.csv --schema schema.yaml -o table.h5 >/dev/null
"$GRANARY" train config.yaml --quiet --run done
"$GRANARY" train config.yaml --quiet
"$GRANARY" train small.yaml --quiet --run images
mkdir empty
cut -d, -f1,2,4- hospital/test.csv >lost.csv

N=0
wrong() {
    local code=$1 words=$2; shift 2
    N=$((N + 1))
    check "granary $*" saying "$code" "$words" "$@"
}
saying() { # CODE WORDS COMMAND...; one message, without a trace of an internal error
    local code=$1 words=$2 part; shift 2
    exits "$code" "$GRANARY" "$@" || return 1
    while read -r part; do says "$part" || return 1; done <<<"${words//|/$'\n'}"
    ! grep -qiE 'internal error|Assertion|signal [0-9]|MPI_ABORT' "$ERR"
}

# ---- the command's name -----------------------------------------------------------------------
wrong 64 "did you mean 'train'" trian config.yaml
wrong 64 "did you mean 'evaluate'" eval done/model.h5 table.h5
wrong 64 "did you mean 'validate'" check config.yaml
wrong 64 "did you mean 'inspect'" status done
wrong 64 "train CONFIG --run DIR --resume" resume done
wrong 64 "did you mean \`granary train config.yaml\`" config.yaml
wrong 64 "options come behind one, granary COMMAND" --resume config.yaml
wrong 64 "see \`granary help\`" -v
wrong 64 "did you mean 'predict'" help pridict
wrong 64 "nearest is train" help config trian
wrong 64 "behind 'train.' one of optimizer, |nearest is train.momentum" help config train.momentun
wrong 64 "behind 'train.schedule.' one of type, |nearest is train.schedule.factor" help config train.schedule.facter
wrong 64 "--label and --group name the same column" init hospital/test.csv --label died --group died -o no

# ---- options and arguments --------------------------------------------------------------------
wrong 64 "train: CONFIG is missing" train
wrong 64 "validate: CONFIG is missing" validate
wrong 64 "inspect: FILE or RUN is missing" inspect
wrong 64 "did you mean '--set'" train --sett run.rounds=1 config.yaml
wrong 64 "did you mean '--set'" train --sett=run.rounds=1 config.yaml
wrong 64 "did you mean '--resume'" train config.yaml --resum2 --run done
wrong 64 "did you mean '--json'" evaluate done/model.h5 table.h5 --jsn
wrong 64 "did you mean '--separator'" predict done/model.h5 hospital/test.csv --seperator tab -o p.csv
wrong 64 "did you mean '--digest'" inspect --digets done
wrong 64 "'-n'|ranks are given by \`granary run -n RANKS\`" train config.yaml -n 4
wrong 64 "'-n'|ranks are given by \`mpirun -n RANKS granary ...\`" predict done/model.h5 table.h5 -n 4 -o p.csv
wrong 64 "needs a value after '--run'" train config.yaml --run
wrong 64 "'config.yaml' is one too many|a name with blanks is put in quotes" train my config.yaml
wrong 64 "'table.csv'|expected two: MODEL and a table" evaluate done/model.h5 my table.csv
wrong 64 "there are no blanks around the = of --set" train config.yaml --set run.rounds = 1
wrong 64 "-n RANKS is missing" run config.yaml
wrong 64 "-n: found 'config.yaml', expected 1 to 1048576" run -n config.yaml
wrong 64 "-n: found '0', expected 1 to 1048576" run -n 0 config.yaml
wrong 64 "run: CONFIG is missing" run -n 2
wrong 64 "found 50 ranks for 3 silos, expected at most one rank for a silo" run -n 50 config.yaml
wrong 64 "found 50 ranks for 3 silos" run -np 50 config.yaml
wrong 64 "options of mpirun follow \`--\`" run -n 2 config.yaml --oversubscribe
wrong 64 "-o FILE is missing" predict done/model.h5 table.h5
wrong 64 "-o FILE is missing" predict done/model.h5 table.h5 p.csv
wrong 64 "p.txt: expected a name that ends in .csv, .h5 or .hdf5" predict done/model.h5 table.h5 -o p.txt
wrong 64 "is read, and cannot be what is written" predict done/model.h5 hospital/test.csv -o hospital/test.csv
wrong 64 "--labels FILE is missing" evaluate images/model.h5 --features test-images
wrong 64 "--separator: found 'semikolon', expected comma, semicolon" evaluate done/model.h5 hospital/test.csv --separator semikolon
wrong 64 "several runs need -o FILE" report done images
wrong 64 "--id: found \"patent\", hospital/test.csv has no such column; nearest is \"patient\"" predict done/model.h5 hospital/test.csv --id patent -o p.csv

# ---- the wrong file in the right place --------------------------------------------------------
wrong 78 "nothing.yaml: No such file or directory" train nothing.yaml
wrong 78 "done/model.h5: an HDF5 file, expected a config: a YAML file" train done/model.h5
wrong 78 "hospital/test.csv: a table, expected a config|data.train.file" train hospital/test.csv
wrong 78 "empty: a folder, expected a config: a YAML file" train empty
wrong 78 "done: a run directory, expected a config; to go on with it: granary train done/config.yaml --run done --resume" train done
wrong 78 "a table, expected a config" run -n 2 hospital/test.csv
wrong 78 "an IDX file, expected a config" validate train-images
wrong 78 "columns: found an unknown key|run.rounds: is required" train schema.yaml
wrong 65 "hospital/test.csv: no model, expected \`granary evaluate MODEL TABLE\`" evaluate hospital/test.csv done/model.h5
wrong 65 "in this order" predict hospital/test.csv done/model.h5 -o p.csv
wrong 65 "done: a folder, expected a model; its model is done/model.h5" evaluate done hospital/test.csv
wrong 65 "config.yaml: no model" evaluate config.yaml hospital/test.csv
wrong 65 "table.h5: not a granary model" evaluate table.h5 hospital/test.csv
wrong 65 "none.csv: cannot be opened: No such file or directory" evaluate done/model.h5 none.csv
wrong 64 "config.yaml: a config or a schema, expected a table" predict done/model.h5 config.yaml -o p.csv
wrong 65 "done/model.h5: has no dataset /features" predict done/model.h5 done/model.h5 -o p.csv
wrong 65 "empty: not a run directory" inspect empty
wrong 65 "runs: not a run directory|its newest run is runs/latest" inspect runs
wrong 65 "config.yaml: a config or a schema|granary validate" inspect config.yaml
wrong 65 "hospital/test.csv: a table of text|granary import --infer-schema" inspect hospital/test.csv
wrong 65 "nothing.h5: No such file or directory" inspect nothing.h5
wrong 65 "not a run directory" report empty
wrong 65 "not a run directory" report done/model.h5

# ---- runs -------------------------------------------------------------------------------------
wrong 64 "nothing to resume" train config.yaml --resume --run nowhere
wrong 64 "nothing to resume: elsewhere/latest" train config.yaml --resume --set run.directory=elsewhere
wrong 73 "done: holds a run; resume it with --resume, or name another folder" train config.yaml --run done
wrong 73 "config.yaml" train config.yaml --run config.yaml

# ---- settings ---------------------------------------------------------------------------------
wrong 78 "--set run.rouns: found an unknown key|nearest is run.rounds" train config.yaml --set run.rouns=1
wrong 78 "--set rounds: found an unknown key|nearest is run.rounds" train config.yaml --set rounds=1
wrong 78 "--set learning_rate: found an unknown key|nearest is train.learning_rate" train config.yaml --set learning_rate=0.1
wrong 78 "--set run.rounds: found no '=', allowed section.key=value" train config.yaml --set run.rounds
wrong 78 "run.rounds: found \"ten\", allowed a whole number from 1" train config.yaml --set run.rounds=ten
wrong 78 "train.learning_rate: found \"0,05\", allowed 0 < x" train config.yaml --set train.learning_rate=0,05
wrong 78 "model.type: found \"MLP\", allowed softmax, mlp" train config.yaml --set model.type=MLP
wrong 78 "model.hidden: is required; found nothing, allowed 1 to 32 widths (model.type is mlp)" train config.yaml --set model.type=mlp
wrong 78 "run.rounds: found 0|train.momentum: found 2" train config.yaml --set run.rounds=0 --set train.momentum=2
wrong 78 "train.batch_size: is required" train config.yaml --set "train={learning_rate: 0.1}"
sed 's/^  silos/\tsilos/' config.yaml >tabs.yaml
wrong 78 "tabs.yaml:" train tabs.yaml

# ---- data -------------------------------------------------------------------------------------
wrong 65 "none.csv: cannot be opened" train config.yaml --set data.train.file=none.csv
wrong 65 "hospital: not a regular file" train config.yaml --set data.train.file=hospital
wrong 78 "none.yaml: No such file or directory; paths are relative to the folder where granary is started" train config.yaml --set data.schema=none.yaml
wrong 65 "has no column \"label\" of labels" train config.yaml --set "data.schema=''"
wrong 65 "table.h5: is of source hdf5, and was to be read as csv" train config.yaml --set data.train.file=table.h5
wrong 65 "expected an HDF5 file, found text" train config.yaml --set data.source=hdf5 --set data.train.file=hospital/test.csv
wrong 65 "table.h5: is of source hdf5, and was to be read as idx" train small.yaml --set data.train.features=table.h5
wrong 78 "data.silos: found 3, the column \"centre\" has 6 values" train config.yaml --set "data.partition={method: column, column: centre}"
wrong 65 "data.partition.column: there is no column \"center\"" train config.yaml --set "data.partition={method: column, column: center}"
wrong 65 "test-images: found features of bytes" evaluate done/model.h5 --features test-images --labels test-labels
wrong 65 "the model knows no columns" evaluate images/model.h5 hospital/test.csv
wrong 65 "lost.csv: has no column \"age\", which the model needs" evaluate done/model.h5 lost.csv

check "sixty at least" test "$N" -ge 60
finish
