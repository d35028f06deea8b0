# SPDX-License-Identifier: Apache-2.0
# The linker's version script of the shared library: what the public headers declare is exported,
# all else is hidden. -v version=N: the SOVERSION.
{
    line = $0
    while (1) { # comments go
        if (inside) {
            if (!(end = index(line, "*/"))) { line = ""; break }
            line = substr(line, end + 2)
            inside = 0
        }
        if (!(start = index(line, "/*"))) break
        rest = substr(line, start + 2)
        line = substr(line, 1, start - 1)
        if (end = index(rest, "*/")) line = line " " substr(rest, end + 2)
        else inside = 1
    }
    if (line ~ /^static /) next
    declared = line ~ /^extern const / ? "gr_[a-z0-9_]+[[;]" : "gr_[a-z0-9_]+[(]"
    while (match(line, declared)) {
        names[substr(line, RSTART, RLENGTH - 1)] = 1
        line = substr(line, RSTART + RLENGTH)
    }
}
END {
    print "GRANARY_" version " {\nglobal:"
    for (name in names) print "    " name ";" | "sort"
    close("sort")
    print "local:\n    *;\n};"
}
