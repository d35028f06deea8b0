# SPDX-License-Identifier: Apache-2.0
# settings.awk: from `granary help config` to words for libFuzzer's -dict: each key by itself and as
# a section's, each path as an override, and the words that values may be.
function word(text) { if (!(text in known)) { known[text]; print "\"" text "\"" } }
BEGIN { FS = "  +" } # no column of help holds two spaces
NR > 1 {
    n = split($1, key, /\.|\[\]\.?/)
    for (i = 1; i <= n; i++)
        if (key[i] != "") word(key[i])
    word(key[1] ":")
    if ($1 !~ /\[/) word($1 "=")
    values = $3
    sub(/^a list of .*each (with:)? ?/, "", values)
    if (values !~ /^[a-z_0-9]+(, [a-z_0-9]+)*( or [a-z_0-9]+)?$/) next
    n = split(values, value, /, | or /)
    for (i = 1; i <= n; i++) word(value[i])
}
