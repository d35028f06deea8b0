# SPDX-License-Identifier: Apache-2.0
# own_comments.pl HEADER...: the functions of headers without a comment of their own, on the lines
# before them, that says "Collective" or "Not collective". Prints HEADER: NAME for each, and at the
# end how many functions there are.
use strict;
my ($functions, $comment, $inside, $declaration) = (0, '', 0, '');
for my $header (@ARGV) {
    open my $in, '<', $header or die "$header: $!\n";
    my $go_on = 0; # of a directive
    while (my $line = <$in>) {
        if ($go_on || $line =~ /^\s*#/) { $go_on = $line =~ /\\$/; next }
        if ($inside) { # of a comment
            $comment .= $line;
            $inside = $line !~ m{\*/};
            next;
        }
        if ($declaration eq '' && $line =~ m{^/\*}) {
            $comment = $line;
            $inside = $line !~ m{\*/};
            next;
        }
        if ($declaration eq "" && ($line !~ /^[a-z]/i || $line =~ /^extern "C"/)) { $comment = ""; next }
        $declaration .= $line;
        my $body = $declaration =~ /\{/;
        next unless $body ? $line =~ /^\}|\}[^{}]*;[^{}]*$/ : $line =~ /;/;
        if ($declaration !~ /^(?:typedef|extern|enum \w* ?\{|struct \w+ ?[{;])/ && $declaration =~ /\b(gr_\w+)\(/) {
            $functions++;
            my $name = $1;
            $comment =~ s/\s+(?:\* )?/ /g;
            print "$header: $name\n" unless $comment =~ /\b(?:Not c|C)ollective/;
        }
        $comment = $declaration = '';
    }
}
print "$functions functions\n";
