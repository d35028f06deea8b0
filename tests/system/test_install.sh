#!/usr/bin/env bash
# quick
# make install with PREFIX and DESTDIR, the pkg-config file, a program built against it, uninstall.
. "$(dirname "$0")/library.sh"
install() { make -s -C "$TOP" BUILD="$BUILD" PREFIX=/opt/granary DESTDIR="$SCRATCH/root" "$1" >make.log 2>&1 || { tail make.log; return 1; }; }
check "install" install install
root=$SCRATCH/root/opt/granary
check "the command" exits 0 "$root/bin/granary" version
check "the config of the demo" test -s "$root/share/granary/configs/fashion-mnist.yaml"
check "the batch scripts" test -s "$root/share/granary/jobs/train.sbatch" -a -s "$root/share/granary/jobs/batch.sh"
cat >use.c <<'C'
#include <granary/granary.h>
#include <stdio.h>
int main(void)
{
    char name[24];
    if (gr_base_start() != GR_OK) return 1;
    gr_silo_pseudonym(17, name);
    puts(name);
    return 0;
}
C
sed -i "s|^prefix=.*|prefix=$root|" "$root/lib/pkgconfig/granary.pc"
flags() { PKG_CONFIG_PATH=$root/lib/pkgconfig pkg-config "$@" granary; }
# What is built for the sanitizers needs them in the program as well.
sanitize=
case $BUILD in *sanitize*) sanitize=-fsanitize=address,undefined ;; esac
check "a program builds" bash -c "mpicc $sanitize use.c $(flags --cflags) $(flags --libs) -o use"
check "and runs" exits 0 ./use
check "and prints" prints "silo-017"
check "uninstall" install uninstall
check "nothing stays" equal "$(find "$SCRATCH/root" -type f -o -type l | wc -l)" 0
finish
