#!/usr/bin/env zsh
# zsh_complete.zsh LINE...: what a real zsh, at a terminal, would complete the end of LINE to: all
# matches in a line, a line for each LINE. _granary is found in the working folder.
zmodload zsh/zpty
cat >start.zsh <<'START'
PROMPT=
fpath=($PWD $fpath)
autoload -U compinit
compinit -u -D
bindkey '^I' complete-word
zstyle ':completion:*' insert-tab false
# Around the builtin: matches are told as they are added.
compadd() {
    if [[ " ${@[1,(i)(-|--)]} " == *" -"(O|A|D)" "* ]]; then
        builtin compadd "$@"
        return
    fi
    local -a hits
    builtin compadd -A hits "$@"
    (( $#hits )) && print -rl -- "match:"$^hits
    builtin compadd "$@"
}
finish() { print done: }
comppostfuncs=(finish)
print ready:
START
for line in "$@"; do
    zpty terminal zsh -f -i
    zpty -w terminal 'source ./start.zsh'
    while zpty -r terminal said && [[ $said != *ready:* ]]; do :; done
    zpty -w -n terminal "$line"$'\t'
    matches=()
    while zpty -r terminal said && [[ $said != *done:* ]]; do
        said=${said//[[:cntrl:]]/}
        [[ $said == *match:* ]] && matches+=("${said#*match:}")
    done
    print -r -- ${(u)matches}
    zpty -d terminal
done
