#!/usr/bin/env bash
# quick
# make install with PREFIX and DESTDIR, the pkg-config file, a program built against it, uninstall.
. "$(dirname "$0")/library.sh"
install() { make -s -C "$TOP" BUILD="$BUILD" PREFIX=/opt/granary DESTDIR="$SCRATCH/root" "$1" >make.log 2>&1 || { tail make.log; return 1; }; }
check "install" install install
root=$SCRATCH/root/opt/granary
check "the command" exits 0 "$root/bin/granary" version
check "the config of the demo" test -s "$root/share/granary/configs/fashion-mnist.yaml"
check "the batch scripts" test -s "$root/share/granary/jobs/train.sbatch" -a -s "$root/share/granary/jobs/batch.sh"
# The manual: a man page and an HTML page for each topic, and for the command.
man=$root/share/man doc=$root/share/doc/granary
for topic in $(cd "$TOP/src/cli/manual" && echo *.md | sed 's/\.md//g') config schema; do
    check "man page of $topic" grep -q "^\.TH GRANARY-${topic^^} 7 " "$man/man7/granary-$topic.7"
    check "HTML page of $topic" grep -q '^<h1>' "$doc/granary-$topic.html"
    check "the index leads to it" grep -qF "href=\"granary-$topic.html\"" "$doc/index.html"
done
for command in $("$GRANARY" help | sed -n '/^usage/,/^`/s/^  \([a-z]*\)  *.*/\1/p'); do
    check "granary.1 has $command" grep -q "^usage: granary $command " "$man/man1/granary.1"
    for option in $("$GRANARY" help "$command" | grep -oE -- '--[a-z-]+' | sort -u); do
        check "and $option" grep -qF -- "${option//-/\\-}" "$man/man1/granary.1"
    done
done
check "completion for bash" cmp "$root/share/bash-completion/completions/granary" <("$GRANARY" completion bash)
check "completion for zsh" cmp "$root/share/zsh/site-functions/_granary" <("$GRANARY" completion zsh)
# complaints FILE: of a formatter about a man page.
complaints() {
    if command -v mandoc >/dev/null; then mandoc -T lint -W error "$1"
    elif command -v groff >/dev/null; then groff -man -t -Tutf8 -z -ww -W break "$1"
    else awk '/^\.TH /{n++} /^\.SH /{m++} /^\.TS/{t++} /^\.TE/{t--} /^\.nf/{f++} /^\.fi/{f--}
              END {if (n != 1 || m < 2 || t || f) print FILENAME ": its requests do not pair"}' "$1"
    fi 2>&1
}
# unpaired FILE: elements of an HTML page that are opened and not closed.
unpaired() {
    local element
    for element in html body pre table tr ul li p a code; do
        [ "$(grep -oE "<${element}[ >]" "$1" | wc -l)" = "$(grep -o "</$element>" "$1" | wc -l)" ] || echo "$1: $element"
    done
}
for page in "$man"/man1/*.1 "$man"/man7/*.7; do
    check "$(basename "$page") can be formatted" equal "$(complaints "$page")" ""
    check "and has no Markdown left" equal "$(grep -nE '^```|\*\*|\]\(|^\|' "$page")" ""
done
for page in "$doc"/*.html; do
    check "$(basename "$page") closes its elements" equal "$(unpaired "$page")" ""
    for target in $(grep -oE 'href="[^"]*"' "$page" | sed 's/href="//; s/"//'); do
        check "$(basename "$page") leads to $target" test -e "$doc/$target"
    done
done
# Installed, and copied by Slurm into a folder of its own, which a pretended scontrol knows of.
mkdir spool bin && cp "$root"/share/granary/jobs/*.sbatch spool
cat >bin/scontrol <<SH
#!/bin/sh
[ "\$2" != hostnames ] || exec echo localhost
echo "JobId=7"
echo "   Command=$root/share/granary/jobs/\$SCRIPT.sbatch"
SH
# Without Slurm's own daemons an mpirun that asks Slurm for hosts would find none.
cat >bin/mpirun <<SH
#!/bin/sh
exec env -u SLURM_JOB_ID -u SLURM_NTASKS -u SLURM_JOB_NODELIST -u SLURM_TASKS_PER_NODE "$(command -v mpirun)" "\$@"
SH
chmod +x bin/scontrol bin/mpirun
cat >small.yaml <<'YAML'
run: {name: small, rounds: 2, seed: 3}
data:
  source: synthetic
  silos: 2
  synthetic: {alpha: 1, beta: 1, features: 8, classes: 3, minimum_rows: 20, maximum_rows: 30, test_rows: 5}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 10}
YAML
for script in train simulate sweep; do
    check "$script.sbatch, installed" exits 0 env -u JOBS -u GRANARY PATH="$PWD/bin:$PATH" SCRIPT=$script CONFIG=small.yaml \
        RUN="$PWD/job-$script" SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=2 SLURM_NTASKS=2 \
        SLURM_JOB_NODELIST=localhost SLURM_TASKS_PER_NODE=2 SLURM_SUBMIT_DIR="$PWD" GRANARY_MPIRUN="$PWD/bin/mpirun" \
        bash "spool/$script.sbatch"
    check "it has run where RUN says" test -e "job-$script/model.h5"
done
for script in train simulate sweep; do
    check "$script.sbatch outside of Slurm" exits 64 env -u SLURM_JOB_ID CONFIG=small.yaml bash "$TOP/jobs/$script.sbatch"
    check "says what to do" says "$script.sbatch: found no Slurm job, expected: sbatch "
    cp "$TOP/jobs/$script.sbatch" alone.sbatch
    check "alone in a job" exits 64 env -u JOBS SLURM_JOB_ID=7 SLURM_SUBMIT_DIR="$PWD" CONFIG=small.yaml bash alone.sbatch
    check "says what is lacking" says "job 7: found no batch.sh in '.', expected beside the script, or in the folder that JOBS names"
done
cat >use.c <<'C'
#include <granary/granary.h>
#include <stdio.h>
int main(void)
{
    char name[24];
    if (gr_base_start() != GR_OK) return 1;
    gr_silo_pseudonym(17, name);
    puts(name);
    return 0;
}
C
sed -i "s|^prefix=.*|prefix=$root|" "$root/lib/pkgconfig/granary.pc"
flags() { PKG_CONFIG_PATH=$root/lib/pkgconfig pkg-config "$@" granary; }
# What is built for the sanitizers needs them in the program as well.
sanitize=
case $BUILD in *sanitize*) sanitize=-fsanitize=address,undefined ;; esac
check "a program builds" bash -c "mpicc $sanitize use.c $(flags --cflags) $(flags --libs) -o use"
check "and runs" exits 0 env LD_LIBRARY_PATH="$root/lib" ./use
check "and prints" prints "silo-017"
check "uninstall" install uninstall
check "nothing stays" equal "$(find "$SCRATCH/root" -type f -o -type l | wc -l)" 0
finish
