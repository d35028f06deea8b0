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
bare() { grep -rnE 'gr_comm_(sum|max)_int64|[^_]gr_aggregate\(' src/cohort src/federation src/evaluate src/cli | grep -v '^src/cohort/door.c:'; }
check "no reduction but the door's" equal "$(bare)" ""

# Masks and noise are of the operating system's secrets: never of a seed that others know, nor of a
# generator that can be foreseen.
foreseeable() { grep -rnE 'gsl_(rng|ran)|gr_rng|gr_stream_(create|restart|draw|words|permutation)|[^a-z_](s?rand(om)?|rand_r|[delmnj]?s?rand48)\(' src/privacy; }
check "no generator that can be foreseen in src/privacy" equal "$(foreseeable)" ""

# The parts of a federation are known to their files alone.
members() { sed -n '/^struct gr_federation {/,/^};/p' src/federation/internal.h | grep -c ';'; }
check "a federation has at most 15 members" test "$(members)" -le 16

# Calls go downwards: a room's files include those of lower rooms only.
order=(base post privacy metric strategy config comm observe store data model train evaluate cohort federation cli)
upward() {
    local i j
    for i in "${!order[@]}"; do
        for ((j = i + 1; j < ${#order[@]}; j++)); do
            grep -rnE "^#include [<\"](granary/)?${order[j]}[./]" "src/${order[i]}" 2>/dev/null
        done
    done
}
check "no file includes a higher room's" equal "$(upward)" ""
# A function or table of a higher room can be declared anywhere: the objects tell.
refers() {
    local room objects
    for room in "${order[@]}"; do
        objects=("src/$room"/*.c)
        objects=("${objects[@]/#/$BUILD/}")
        nm -g "${objects[@]/%.c/.o}" | awk -v room="$room" 'NF > 1 { print room, $(NF - 1), $NF }'
    done | awk -v order="${order[*]}" '
        BEGIN { n = split(order, rooms, " "); for (i = 1; i <= n; i++) place[rooms[i]] = i }
        $2 ~ /^[TDRBV]$/ { home[$3] = $1 }
        $2 == "U" { uses[$1 " " $3] }
        END { for (use in uses) { split(use, part, " ")
              if (place[home[part[2]]] > place[part[1]]) print part[1], "refers to", part[2], "of", home[part[2]] } }' | sort
}
check "no object refers to a higher room's" equal "$(refers)" ""
uncommented() { perl "$TESTS/system/own_comments.pl" include/granary/*.h 2>&1; }
check "each public function has a comment of its own, which says whether it is collective" equal "$(uncommented | grep -v ' functions$')" ""
check "functions are seen" test "$(uncommented | sed -n 's/ functions$//p')" -gt 450
finish
