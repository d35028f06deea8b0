# A page of the manual as a man page of section 7, for groff and mandoc (see blocks.awk).
function plain(s) {
    gsub(/\\/, "\\\\e", s)
    return s
}
function code(s) {
    if (s ~ /^granary help [a-z-]+$/ && index(names, " " substr(s, 14) " "))
        return "\\fBgranary-" substr(s, 14) "\\fR(7)"
    s = plain(s)
    gsub(/-/, "\\\\-", s)
    return "\\fB" s "\\fR"
}
function bold(s) { return "\\fB" s "\\fR" }
function link(s, target) { return target ~ /:/ ? s " (" target ")" : s }
# No line of text may begin like a request.
function put(s) {
    if (s ~ /^[.']/) s = "\\&" s
    print s
}
function open_page(title) {
    print "'\\\" t"
    printf ".TH GRANARY-%s 7 \"\" \"granary %s\" \"granary manual\"\n", toupper(name), version
    printf ".nh\n.ad l\n.SH NAME\ngranary-%s \\- %s\n", name, plain(title)
    started = 0
}
function start() { if (!started++) print ".SH DESCRIPTION" }
function heading(level, s) {
    if (level == 2) { started = 1; printf ".SH \"%s\"\n", toupper(bare(s)) }
    else { start(); printf ".SS \"%s\"\n", bare(s) }
}
# Without the marks that a request's argument cannot have.
function bare(s) {
    gsub(/[`"\\]/, "", s)
    return s
}
function paragraph(s) { start(); print ".PP"; put(inline(s)) }
function item(s) { print ".IP \\(bu 2"; put(inline(s)) }
function open_block(kind) {
    start()
    if (kind == "code") print ".PP\n.RS 4\n.nf"
}
function close_block(kind) {
    if (kind == "code") print ".fi\n.RE"
    if (kind == "table") print_table()
}
function code_line(s) {
    s = plain(s)
    gsub(/-/, "\\\\-", s)
    put(s)
}
# A table is kept until its end: columns of long cells share the room that short ones leave.
function table_row(cells, n, is_head,    i) {
    if (is_head) {
        columns = n
        table_rows = 0
        for (i = 1; i <= n; i++) widest[i] = 0
    }
    table_rows++
    for (i = 1; i <= columns; i++) {
        kept[table_rows, i] = i <= n ? cells[i] : ""
        if (length(kept[table_rows, i]) > widest[i]) widest[i] = length(kept[table_rows, i])
    }
}
function print_table(    row, i) {
    print ".PP\n.TS\nallbox;"
    for (i = 1; i <= columns; i++)
        printf "%s%s", (widest[i] > 22 ? "lx" : "l"), (i < columns ? " " : ".\n")
    for (row = 1; row <= table_rows; row++)
        for (i = 1; i <= columns; i++) {
            print "T{"
            put(inline(kept[row, i]))
            printf "T}%s", (i < columns ? "\t" : "\n")
        }
    print ".TE\n.sp"
}
function close_page() {
    print ".SH \"SEE ALSO\"\n.BR granary (1)"
}
