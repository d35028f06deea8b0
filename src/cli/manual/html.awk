# A page of the manual as HTML (see blocks.awk).
function plain(s) {
    gsub(/&/, "\\&amp;", s)
    gsub(/</, "\\&lt;", s)
    gsub(/>/, "\\&gt;", s)
    return s
}
function code(s,    topic) {
    topic = substr(s, 14)
    if (s ~ /^granary help [a-z-]+$/ && index(names, " " topic " "))
        return "<a href=\"granary-" topic ".html\"><code>" s "</code></a>"
    return "<code>" plain(s) "</code>"
}
function bold(s) { return "<strong>" s "</strong>" }
function link(s, target) { return "<a href=\"" target "\">" s "</a>" }
function open_page(title) {
    print "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    print "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    printf "<title>granary: %s</title>\n<style>\n", plain(title)
    print ":root{color-scheme:light dark}"
    print "body{font:16px/1.5 system-ui,sans-serif;max-width:54rem;margin:2rem auto;padding:0 1rem}"
    print "pre{overflow-x:auto;padding:.7rem;border:1px solid #8886}"
    print "table{border-collapse:collapse;display:block;overflow-x:auto}"
    print "td,th{border:1px solid #8886;padding:.25rem .5rem;text-align:left;vertical-align:top}"
    print "</style></head><body>\n<p><a href=\"index.html\">granary</a></p>"
    printf "<h1>%s</h1>\n", plain(title)
}
function heading(level, s) { printf "<h%d>%s</h%d>\n", level, inline(s), level }
function paragraph(s) { printf "<p>%s</p>\n", inline(s) }
function item(s) { printf "<li>%s</li>\n", inline(s) }
function open_block(kind) { print kind == "list" ? "<ul>" : kind == "code" ? "<pre>" : "<table>" }
function close_block(kind) { print kind == "list" ? "</ul>" : kind == "code" ? "</pre>" : "</table>" }
function code_line(s) { print plain(s) }
function table_row(cells, n, is_head,    i, tag) {
    tag = is_head ? "th" : "td"
    printf "<tr>"
    for (i = 1; i <= n; i++) printf "<%s>%s</%s>", tag, inline(cells[i]), tag
    print "</tr>"
}
function close_page() { print "</body></html>" }
