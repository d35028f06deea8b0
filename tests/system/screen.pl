#!/usr/bin/perl
# screen.pl WIDTH HEIGHT: what a terminal of that size shows after the bytes of standard input, of
# which it knows those that `granary watch` may write; others are an error. The last screen that was
# not empty is printed, then "cursor on|off, alternate on|off, ink on|off, faults N".
use strict; use warnings; use utf8;
binmode STDIN, ':utf8'; binmode STDOUT, ':utf8';
my ($width, $height) = @ARGV;
my (@cells, @last);
my ($row, $column, $cursor, $alternate, $ink, $faults) = (0, 0, 'on', 'off', 'off', 0);
sub blank { @cells = map { [(' ') x $width] } 1 .. $height }
sub keep { @last = map { [@$_] } @cells if grep { join('', @$_) =~ /\S/ } @cells }
blank();
local $/; my $text = <STDIN> // '';
# The shell's own lines in front of it are not of the screen.
$text =~ s/^.*?(?=\e\[\?1049h)//s or $faults++;
while (length $text) {
    if ($text =~ s/^\e\[\?(1049|25)([hl])//) {
        my $on = $2 eq 'h' ? 'on' : 'off';
        if ($1 == 25) { $cursor = $on } else { keep(); $alternate = $on; blank() if $on eq 'off' }
    } elsif ($text =~ s/^\e\[(\d+);(\d+)H//) {
        ($row, $column) = ($1 - 1, $2 - 1);
        $faults++ if $row >= $height || $column >= $width;
    } elsif ($text =~ s/^\e\[2J//) { keep(); blank()
    } elsif ($text =~ s/^\e\[K//) { $cells[$row][$_] = ' ' for $column .. $width - 1
    } elsif ($text =~ s/^\e\[([\d;]*)m//) { $ink = $1 eq '0' || $1 eq '' ? 'off' : 'on'; $main::colour = 1 if $1 =~ /3\d/
    } elsif ($text =~ s/^([^\e\x00-\x1f])//) {
        if ($alternate eq 'on') {
            $faults++ if $column >= $width || $row >= $height;
            $cells[$row][$column++] = $1 if $column < $width && $row < $height;
        }
    } elsif ($text =~ s/^[\r\n]//) { $faults++ if $alternate eq 'on'
    } else { $text =~ s/^.//s; $faults++ }
}
print join('', @$_) =~ s/ +$//r, "\n" for @last;
print "cursor $cursor, alternate $alternate, ink $ink, faults $faults", $main::colour ? ", coloured" : "", "\n";
