#!/usr/bin/env bash
# quick
# The command as a user meets it first: help, versions, mistakes. No mpirun.
. "$(dirname "$0")/library.sh"

check "without words: overview and usage code" exits 64 "$GRANARY"
check "overview names the commands" says "train"
check "help" exits 0 "$GRANARY" help
check "help lists inspect" prints "inspect"
for command in train run sweep compare init validate watch explain reproduce inspect gate evaluate predict report import keygen study approve audit privacy completion releases version; do
    check "help $command" exits 0 "$GRANARY" help $command
    check "help $command has an example" prints "example:"
    cp "$OUT" help
    check "$command --help" exits 0 "$GRANARY" $command --help
    check "$command --help says the same" cmp -s help "$OUT"
    check "$command with an unknown option" exits 64 "$GRANARY" $command --no-such-option
    check "$command names the option" says "--no-such-option"
done
check "unknown command" exits 64 "$GRANARY" trian
check "nearest command" says "did you mean 'train'"
check "version" exits 0 "$GRANARY" version
check "version is a number" grep -qE '^granary [0-9]+\.[0-9]+\.[0-9]+$' "$OUT"
check "verbose version" exits 0 "$GRANARY" version --verbose
for library in MPI HDF5 GSL oneDNN OpenBLAS libsodium libcurl libmicrohttpd GnuTLS OpenSSL thread fault; do
    check "verbose version tells $library" grep -qi "$library" "$OUT"
done
check "option without its value" exits 64 "$GRANARY" validate x.yaml --set
check "two files" exits 64 "$GRANARY" inspect a b
check "inspect a missing file" exits 65 "$GRANARY" inspect nothing.h5
check "it is named" says "nothing.h5"
check "validate the demo's config" exits 0 "$GRANARY" validate "$TOP/configs/synthetic.yaml"
check "resolved config" exits 0 "$GRANARY" validate "$TOP/configs/synthetic.yaml" --resolved
cp "$OUT" resolved.yaml
check "resolved config is valid itself" exits 0 "$GRANARY" validate resolved.yaml --resolved
check "and resolves to itself" cmp resolved.yaml "$OUT"
check "--set" exits 0 "$GRANARY" validate "$TOP/configs/synthetic.yaml" --set run.rounds=3 --resolved
check "--set is used" prints "rounds: 3"
check "train needs a config" exits 64 "$GRANARY" train
check "an option that takes no value" exits 64 "$GRANARY" train --resume=yes x.yaml
check "a letter that is no option" exits 64 "$GRANARY" train -x y.yaml
check "it is named" says "-x"
check "training with output to a full device" bash -c '"$GRANARY" train "$TOP/configs/synthetic.yaml" --set run.rounds=1 --run full >/dev/full 2>/dev/null; [ $? = 73 ]'
check "output to a full device" bash -c '"$GRANARY" version >/dev/full 2>/dev/null; [ $? = 73 ]'
for words in help "help config" "help schema" "help train" "import --help" --version; do
    check "$words to a full device" bash -c "\"\$GRANARY\" $words >/dev/full 2>/dev/null; [ \$? = 73 ]"
    check "$words to nobody" bash -c "\"\$GRANARY\" $words >&- 2>/dev/null; [ \$? = 73 ]"
done
finish
