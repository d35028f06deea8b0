# SPDX-License-Identifier: Apache-2.0
# list.awk FILE...: the strategies that the files define, as rows of the macro STRATEGIES. A file
# without one is refused: it would be left out without a word.
function end_file() {
    if (file == "" || rows > before) return
    print file ": found no \"const struct gr_strategy gr_strategy_NAME = \"" > "/dev/stderr"
    bad = 1
}
BEGIN { print "/* Made by list.awk. */\n#define STRATEGIES(ROW) \\" }
FNR == 1 { end_file(); file = FILENAME; before = rows }
/^const struct gr_strategy gr_strategy_[a-z0-9_]+ = / {
    sub(/^gr_strategy_/, "", $4)
    print "    ROW(" $4 ") \\"
    rows++
}
END { end_file(); print ""; exit bad }
