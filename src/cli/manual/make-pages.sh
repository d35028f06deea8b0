#!/bin/sh
# Makes man pages and HTML of the manual.
#   make-pages.sh GRANARY FOLDER
# FOLDER/man1/granary.1, FOLDER/man7/granary-TOPIC.7, FOLDER/html/*.html. The command is asked for its
# own help, which the page of the command, and those of the settings, are made of.
set -eu
export LC_ALL=C
granary=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$folder"
mkdir -p "$folder/man1" "$folder/man7" "$folder/html" "$folder/markdown"
version=$("$granary" version | sed -n '1s/^granary //p')

# In Markdown: the pages as they are, the tables of settings and the commands as code.
cp "$here"/*.md "$folder/markdown"
code() { printf '\n```\n'; "$granary" help "$@"; printf '```\n'; }
{ echo '# Config: every setting, its default and its allowed values'; code config
  printf '\nSee `granary help settings` for examples.\n'; } >"$folder/markdown/config.md"
{ echo "# Schema: every setting of a table's columns"; code schema
  printf '\nSee `granary help columns` for examples.\n'; } >"$folder/markdown/schema.md"
names=" $(cd "$folder/markdown" && echo *.md | sed 's/\.md//g') "
commands=$("$granary" help | sed -n '/^usage/,/^`/s/^  \([a-z]*\) .*/\1/p')
title_of() { sed -n '1s/^# //p' "$folder/markdown/$1.md"; }

convert() { # FORMAT NAME FILE
    awk -v name="$2" -v names="$names" -v version="$version" -f "$here/blocks.awk" -f "$here/$1.awk" "$3"
}
{
    echo '# granary: cross-silo federated learning on MPI'
    echo
    echo 'granary trains one model across many silos without moving their data.'
    for command in $commands; do
        printf '\n## granary %s\n' "$command"
        code "$command"
    done
    printf '\n## Topics\n\n'
    for name in $names; do printf -- '- `granary help %s`: %s\n' "$name" "$(title_of "$name")"; done
} >"$folder/command.md"

convert man granary "$folder/command.md" | sed -e 's/^\.TH GRANARY-GRANARY 7/.TH GRANARY 1/' \
    -e 's/^granary-granary \\- granary: /granary \\- /' \
    -e '/^\.SH "SEE ALSO"/,$d' >"$folder/man1/granary.1"
convert html granary "$folder/command.md" >"$folder/html/index.html"
for name in $names; do
    convert man "$name" "$folder/markdown/$name.md" >"$folder/man7/granary-$name.7"
    convert html "$name" "$folder/markdown/$name.md" >"$folder/html/granary-$name.html"
done
