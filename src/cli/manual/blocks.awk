# Reads the Markdown that the manual is written in, and calls for each block a function of man.awk or
# html.awk, which is given as a second -f: open_page(title), heading(level, text), paragraph(text),
# item(text), table_row(cells, n, is_head), code_line(text), open_block(kind), close_block(kind),
# close_page(). The Markdown: # headings, paragraphs, lists of one level ("- " or "1. "), tables,
# fenced code, `code`, **bold**, [text](target). Variables: name, the page's; names, all pages'.
function flush() {
    if (text != "" && block == "list") item(text)
    else if (text != "") paragraph(text)
    text = ""
}
function enter(kind) {
    flush()
    if (block == kind) return
    if (block != "") close_block(block)
    block = kind
    rows = 0
    if (kind != "") open_block(kind)
}
# The cells of a row of a table; a bar within `code` is written \|.
function split_row(line, cells,    n, i) {
    gsub(/\\\|/, "\001", line)
    sub(/^\| */, "", line)
    sub(/ *\| *$/, "", line)
    n = split(line, cells, / *\| */)
    for (i = 1; i <= n; i++) gsub(/\001/, "|", cells[i])
    return n
}
# Text with its `code`, **bold** and links; the pieces go through plain(), code(), bold() and link().
function inline(line,    out, rest, i) {
    out = ""
    while (match(line, /`[^`]+`|\*\*[^*]+\*\*|\[[^]]+\]\([^)]+\)/)) {
        out = out plain(substr(line, 1, RSTART - 1))
        rest = substr(line, RSTART, RLENGTH)
        line = substr(line, RSTART + RLENGTH)
        if (rest ~ /^`/) out = out code(substr(rest, 2, length(rest) - 2))
        else if (rest ~ /^\*/) out = out bold(inline_within(substr(rest, 3, length(rest) - 4)))
        else {
            i = index(rest, "](")
            out = out link(plain(substr(rest, 2, i - 2)), substr(rest, i + 2, length(rest) - i - 2))
        }
    }
    return out plain(line)
}
function inline_within(line) {
    gsub(/`/, "", line)
    return plain(line)
}
FNR == 1 { open_page(substr($0, 3)); next }
/^```/ && block != "code" { enter("code"); next }
/^```/ { enter(""); next }
block == "code" { code_line($0); next }
/^$/ { flush(); if (block != "list") enter(""); next }
/^#+ / { enter(""); match($0, /^#+/); heading(RLENGTH, substr($0, RLENGTH + 2)); next }
/^\|[-| ]+\|$/ { next }
/^\|/ { enter("table"); n = split_row($0, cells); table_row(cells, n, ++rows == 1); next }
/^(- |[0-9]+\. )/ { enter("list"); flush(); text = $0; sub(/^(- |[0-9]+\. )/, "", text); next }
/^ / && block == "list" { sub(/^ +/, ""); text = text " " $0; next }
{
    if (block != "" && text == "") enter("")
    text = text (text == "" ? "" : " ") $0
}
END { enter(""); close_page() }
