#!/bin/bash
# quick
# The rules of the house that a program can check: see CONTRIBUTING.md.
. "$TESTS/system/library.sh"
cd "$TOP" || exit 1
names() { find src include -name '*.[ch]' | sed 's|.*/||' | sort; }
check "no two files have one name" equal "$(names | uniq -d)" ""
# base.c and base.h are one noun; a room's header may have its room's name.
bases() { find src -name '*.[ch]' | sed 's|.*src/||; s|\.[ch]$||' | sort -u | sed 's|.*/||' | sort | uniq -d; }
check "no two rooms have a file of one noun" equal "$(bases)" ""
tags() { grep -rhoE '^(static |typedef )?(struct|enum|union) [a-z_]+ \{' src include | grep -oE '(struct|enum|union) [a-z_]+' | sort | uniq -d; }
check "no two structs have one tag" equal "$(tags)" ""

# Values of silos leave through the door.
bare() { grep -rnE 'gr_comm_(sum|max)_int64|gr_comm_gather\(|[^_]gr_aggregate\(' src/cohort src/federation src/evaluate src/cli | grep -v '^src/cohort/door.c:'; }
check "no reduction but the door's" equal "$(bare)" ""

# Calls go downwards: a room's files include those of lower rooms only.
order=(base strategy config comm observe store data model train evaluate cohort federation cli)
upward() {
    local i j
    for i in "${!order[@]}"; do
        for ((j = i + 1; j < ${#order[@]}; j++)); do
            grep -rnE "^#include [<\"](granary/)?${order[j]}[./]" "src/${order[i]}" 2>/dev/null
        done
    done
}
check "no file includes a higher room's" equal "$(upward)" ""
finish
