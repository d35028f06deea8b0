#!/usr/bin/env bash
# The table of commands and options: what it lists is parsed, told by help and completed by shells.
. "$(dirname "$0")/library.sh"
"$GRANARY" completion bash >completion.bash
check "the completion is bash" bash -n completion.bash
. ./completion.bash
# completed WORDS...: what the last word may become.
completed() { COMP_WORDS=(granary "$@") COMP_CWORD=$#; _granary; printf '%s ' "${COMPREPLY[@]}"; }
for command in $("$GRANARY" help | sed -n '/^usage/,/^`/s/^  \([a-z]*\)  *.*/\1/p'); do
    "$GRANARY" help "$command" >help
    listed=$(sed -nE 's/^  (-., )?(--[a-z-]+).*/\2/p' help | sort | tr '\n' ' ')
    for option in $(sed -n '/^usage/,/^$/p' help | grep -oE -- '--[a-z-]+' | sort -u); do
        check "$command: $option of its forms is listed" grep -qE -- "^  (-., )?$option( |$)" help
    done
    check "$command: they are completed" equal "$(completed "$command" -- | tr ' ' '\n' | grep -v -e '^--help$' -e '^$' | sort | tr '\n' ' ')" "$listed"
    for option in $listed; do
        "$GRANARY" "$command" "$option" </dev/null >"$OUT" 2>"$ERR"
        check "$command: $option is parsed" equal "$(grep -c 'does not take the option' "$ERR")" 0
        # The one way to see it without a file: who takes a value lacks it.
        value=$(sed -nE "s/^  (-., )?$option( ?[^ ]*)  .*/\2/p" help)
        check "$command: $option takes a value, as its help says" equal \
            "$(grep -cF "needs a value after '$option'" "$ERR")" "$([ -n "${value# }" ] && echo 1 || echo 0)"
    done
done
check "commands are completed" equal "$(completed va)" "validate "
check "settings are" equal "$(completed train c.yaml --set train.learning_r)" "train.learning_rate= "
check "and words" equal "$(completed evaluate m.h5 t.csv --encoding la)" "latin1 "
mkdir -p folder-of-runs && touch file-of-rows.csv
check "files" equal "$(completed train file-of)" "file-of-rows.csv "
check "folders alone" equal "$(completed train c.yaml --run folder)" "folder-of-runs "
check "words and then files" equal "$(completed study si) $(completed study sign file-of)" "sign  file-of-rows.csv "
check "topics" equal "$(completed help strat)" "strategies "
check "what nobody knows is left alone" equal "$(completed run -n '')" " "
check "another shell" exits 64 "$GRANARY" completion fish
check "is named" says "found 'fish', expected bash or zsh"
if command -v zsh >/dev/null; then
    "$GRANARY" completion zsh >_granary
    check "the completion is zsh" zsh -n _granary
    # LINE|MATCHES, as zsh at a terminal finds them; of the commands the options that bash completes.
    while IFS='|' read -r line matches; do
        lines+=("granary $line") expected+=("$matches")
    done <<'END'
va|validate
train c.yaml --set train.learning_r|train.learning_rate=
evaluate m.h5 t.csv --encoding la|latin1
train file-of|file-of-rows.csv
train c.yaml --run f|folder-of-runs
help strat|strategies
completion z|zsh
study si|sign
study sign file-of|file-of-rows.csv
run -n |
END
    for command in train run init validate releases inspect evaluate report predict import approve version; do
        lines+=("granary $command --") expected+=("$(completed "$command" -- | sort | xargs)")
    done
    timeout 300 zsh -f "$TESTS/system/zsh_complete.zsh" "${lines[@]}" >by-zsh
    for i in "${!lines[@]}"; do
        found=$(sed -n "$((i + 1))p" by-zsh | tr ' ' '\n' | grep -v '^-[a-z]$' | sort | xargs)
        check "zsh: ${lines[i]}" equal "$found" "$(tr ' ' '\n' <<<"${expected[i]}" | sort | xargs)"
    done
else
    echo "left out: the completion of zsh, which is not here"
fi
# The fuzzer's words follow from the table of settings.
"$GRANARY" help config | LC_ALL=C awk -f "$TESTS/fuzz/settings.awk" >words
check "words for libFuzzer" equal "$(grep -cvE '^"[^"\\]+"$' words) $(sort words | uniq -d)" "0 "
for key in $("$GRANARY" help config | sed -n '2,$s/ .*//p' | grep -v '\['); do
    check "$key is a word" grep -qxF "\"$key=\"" words
done
for word in after_s kind faults: data: fedyogi min_max true auc poisson_deviance group_norm; do
    check "$word is a word" grep -qxF "\"$word\"" words
done
finish
