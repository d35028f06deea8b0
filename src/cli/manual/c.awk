# The pages of the manual as C data: for each an array of its lines, and the table of all pages.
#   LC_ALL=C awk -f c.awk tables.md faults.md... > manual.c
# A page is named by its file, and titled by its first line, "# Title". No C string literal may have
# more than 4,095 bytes, so each line is one of its own, and a longer one is refused.
function name_of(path) {
    sub(/^.*\//, "", path)
    sub(/\.md$/, "", path)
    return path
}
function literal(line) {
    gsub(/[\\"?]/, "\\\\&", line) # the question mark: no trigraphs
    return "\"" line "\""
}
function refuse(why) {
    printf "%s:%d: %s\n", FILENAME, FNR, why > "/dev/stderr"
    failed = 1
    exit 1
}
function close_page() {
    if (pages > 0) print "    NULL};"
}
BEGIN { pages = 0; print "/* Made from src/cli/manual by src/cli/manual/c.awk. */\n#include \"cli/manual.h\"\n" }
FNR == 1 {
    if ($0 !~ /^# ./) refuse("a page begins with \"# Title\"")
    close_page()
    name[pages] = name_of(FILENAME)
    title[pages] = substr($0, 3)
    printf "static const char *const page%d[] = {\n", pages++
}
/^```/ { code = !code }
# A wrapped line that begins like an item of a list would become one.
!code && /^(- |[0-9]+\. )/ && before != "" && before !~ /^(- |[0-9]+\. | )/ {
    refuse("a list without an empty line in front of it")
}
{ before = $0 }
/\t/ { refuse("a tab") }
length(literal($0)) > 4000 { refuse("a line of more than 4,000 bytes") }
{ print "    " literal($0) "," }
END {
    if (failed) exit 1
    close_page()
    print "\nconst struct gr_page gr_pages[] = {"
    for (i = 0; i < pages; i++)
        printf "    {%s, %s, page%d},\n", literal(name[i]), literal(title[i]), i
    print "};\nconst size_t gr_pages_n = sizeof gr_pages / sizeof *gr_pages;"
}
