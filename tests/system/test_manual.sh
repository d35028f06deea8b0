#!/usr/bin/env bash
# The manual: each page is listed, shown and found; its examples, exit codes and links are true.
. "$(dirname "$0")/library.sh"

PAGES=$TOP/src/cli/manual
topics=$(cd "$PAGES" && echo *.md | sed 's/\.md//g')
documents=("$TOP/README.md" "$TOP/CONTRIBUTING.md" "$PAGES"/*.md)

# ---- shown ----
"$GRANARY" help >overview
commands=$(sed -n '/^usage/,/^`/s/^  \([a-z]*\)  *.*/\1/p' overview)
check "the overview lists commands" test "$(wc -w <<<"$commands")" -ge 10
for topic in $topics config schema; do
    check "the overview lists $topic" grep -qE "^  $topic +[^ ]" overview
done
for topic in $topics; do
    check "help $topic" exits 0 "$GRANARY" help "$topic"
    check "it is the page" cmp "$OUT" "$PAGES/$topic.md"
done
for command in $commands; do
    check "$command has an example" grep -qE "^example: (.* )?granary $command" <("$GRANARY" help "$command")
done
check "a misspelt topic" exits 64 "$GRANARY" help stratgies
check "the nearest is named" says "did you mean 'strategies'"
check "a misspelt command" exits 64 "$GRANARY" help inspcet
check "the nearest is named" says "did you mean 'inspect'"
check "a topic as a command" exits 64 "$GRANARY" faults
check "how it is shown is said" says "granary help faults"
for words in help "help faults" "help config" "help --search quorum" --help --version; do
    # shellcheck disable=SC2086
    "$GRANARY" $words >/dev/full 2>/dev/null
    check "$words, to a full device" equal $? 73
done
PAGER="sed s/^/paged:/" "$GRANARY" help faults >plain
check "no pager where there is no terminal" cmp plain "$PAGES/faults.md"
if command -v script >/dev/null; then
    PAGER="sed s/^/paged:/" script -qec "$GRANARY help faults" /dev/null </dev/null >paged
    check "a terminal's pager" grep -q "^paged:# " paged
    PAGER=/nowhere/pager script -qec "$GRANARY help faults" /dev/null </dev/null >paged
    check "a pager that is not there" grep -q "^# " paged
fi

# ---- found ----
settings() { "$GRANARY" help "$1" | awk 'NR > 1 {print $1}'; }
check "there are settings" test "$( { settings config; settings schema; } | wc -l)" -gt 100
for setting in $(settings config; settings schema); do
    check "--search $setting" grep -qF "    $setting " <("$GRANARY" help --search "$setting")
done
# explained PATH: a page has the setting as code, whole or by its last name, or in an example.
explained() { grep -qE "(\`|\{|, |^ *)([a-z_]+\.)*${1##*.}(\`|:)" "$PAGES"/*.md; }
for setting in $(settings config; settings schema); do
    check "a page explains $setting" explained "$setting"
done
check "whatever the case" exits 0 "$GRANARY" help --search PIDFD Linux
check "the page and the heading are named" prints "faults: How a loss is found"
check "the paragraph is shown" prints "a pidfd for each"
check "words of the heading count" exits 0 "$GRANARY" help --search dates DAY_FIRST
check "a paragraph from its first line on" exits 0 "$GRANARY" help --search cores backoff minute
check "which begins with code" prints "\`granary run\` starts \`granary train\`"
check "options are found" exits 0 "$GRANARY" help --search restarts row
check "by their command" prints "granary run"
check "words that nothing has" exits 64 "$GRANARY" help --search quorum xyzzy
check "it is said" says "nothing has all words"
check "words far from each other" exits 64 "$GRANARY" help --search pidfd soak
check "their page is named" says "faults"
check "no words" exits 64 "$GRANARY" help --search

# The dictionary: each term is found, and stands once.
terms() { sed -nE '/^\| (term|-)/d; s/^\| ([^|]*) \|.*/\1/p' "$PAGES/dictionary.md"; }
check "there are terms" test "$(terms | wc -l)" -gt 40
check "each stands once" equal "$(terms | sort | uniq -d)" ""
while read -r term; do
    # shellcheck disable=SC2086
    check "--search $term" grep -q "^dictionary:" <("$GRANARY" help --search $term)
done < <(terms)

# ---- true ----
# Command lines of fenced code and of `code` in the text, without comments, a command each.
command_lines() {
    awk '/^```/ {code = !code; next}
         code {sub(/(^| )# .*/, ""); if (sub(/\\$/, "")) printf "%s", $0; else print; next}
         {while (match($0, /`granary [^`]*`/)) {print substr($0, RSTART + 1, RLENGTH - 2); $0 = substr($0, RSTART + RLENGTH)}}' "$1" |
        sed 's/&&/\n/g; s/;/\n/g; s/|/\n/g' | sed -nE "s/^(.* )?granary ([^=]|$)/\2/p"
}
# known COMMAND WORDS...: there is such a command with such options, as its help says.
known() {
    local command=$1 word; shift
    if [ "$command" = help ]; then
        [[ $# = 0 || $1 =~ ^[A-Z.]+$ || $1 = --search ]] || "$GRANARY" help "$1" >/dev/null
        return
    fi
    [[ " $(tr '\n' ' ' <<<"$commands") " = *" $command "* ]] || { echo "  no command $command"; return 1; }
    "$GRANARY" help "$command" >usage
    for word in "$@"; do
        [ "$word" != -- ] || break
        [[ $word = -?* ]] || continue
        grep -qE -- "(^|[^-[:alnum:]])${word%%=*}([^-[:alnum:]]|$)" usage || { echo "  $command has no $word"; return 1; }
    done
}
lines=0
for document in "${documents[@]}"; do
    while read -r -a words; do
        [[ ${words[0]:-} =~ ^[a-z] ]] || continue
        lines=$((lines + 1))
        check "$(basename "$document"): granary ${words[*]}" known "${words[@]}"
    done < <(command_lines "$document")
done
check "there are command lines" test "$lines" -gt 80
# A whole config, if a block of YAML begins with `run:`.
for document in "$TOP/README.md" "$PAGES/settings.md"; do
    awk '/^```yaml/ {code = 1; next} /^```/ {code = 0} code' "$document" >config.yaml
    check "the config of $(basename "$document")" exits 0 "$GRANARY" validate config.yaml --resolved
done
for code in $(sed -n 's/^ *X(GR_[A-Z_]*, \([0-9]*\),.*/\1/p' "$TOP/include/granary/base.h"); do
    check "exit code $code is explained" grep -qE "^(\| $code \||The status $code )" "$PAGES/exit-codes.md"
done
check "README.md has at most 200 lines" test "$(wc -l <"$TOP/README.md")" -le 200

# there FOLDER TARGET: a link from a document in that folder leads somewhere.
there() { [[ $2 = http*://* || $2 = '#'* ]] || [ -e "$1/${2%%#*}" ] || { echo "  no $2"; return 1; }; }
links=0
for document in "${documents[@]}"; do
    for target in $(grep -oE '\]\([^)]+\)' "$document" | sed 's/^](//; s/)$//'); do
        links=$((links + 1))
        check "$(basename "$document") links to $target" there "$(dirname "$document")" "$target"
    done
    for target in $(grep -oE '(^|[ `("])(configs|jobs|analysis|tests|src|include)/[A-Za-z0-9_./-]*[A-Za-z0-9_]' "$document" | sed "s|^[^a-z]||" | grep -v "ROOM\|TOPIC" | sort -u); do
        check "$(basename "$document") names $target" there "$TOP" "$target"
    done
done
check "there are links" test "$links" -gt 15
for topic in $topics; do
    check "README.md links to $topic" grep -qF "(src/cli/manual/$topic.md)" "$TOP/README.md"
done
finish
