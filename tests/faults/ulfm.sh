#!/usr/bin/env bash
# The fault tests on Open MPI 5 with ULFM.
#   ulfm.sh                  builds and runs test_faults and a soak of SOAK (20) cases each way
#   ulfm.sh COMMAND...       builds, and runs the command instead, in the source folder
# Where mpirun is of that kind all happens in place. Elsewhere it needs root and debootstrap: a
# Debian 13 root is made once below ULFM_ROOT (default /var/tmp/granary-ulfm) from the mirror that
# apt uses here, the working tree is copied in, and nothing outside of it is touched: all mounts are
# in a namespace of their own. To be rid of it: rm -r --one-file-system ULFM_ROOT.
set -eu
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
TOP=$(cd "$(dirname "$0")/../.." && pwd)
ROOT=${ULFM_ROOT:-/var/tmp/granary-ulfm}
[ -e "$TOP/jobs/deps.sh" ] || { echo "ulfm.sh: not in its source tree" >&2; exit 1; }
SUITE=trixie
PATH=$PATH:/usr/sbin:/sbin
skip() { echo "skipped: $1"; echo "0 passed, 0 failed"; exit 0; }
die() { echo "ulfm.sh: $1" >&2; exit 1; }

# The tests themselves, where we stand; also the part that runs within the root.
if [ "${1:-}" = --inside ]; then
    shift
    export BUILD=${BUILD:-build/ulfm}
    make -j"$(nproc)" BUILD="$BUILD" tests >"$BUILD.log" 2>&1 || { tail -n 20 "$BUILD.log"; die "it does not build"; }
    export GRANARY=$PWD/$BUILD/granary
    [ $# = 0 ] || exec "$@"
    code=0
    tests/run.sh "$BUILD" all faults/ || code=1
    for mode in shm tcp early secure; do tests/faults/soak.sh "${SOAK:-20}" 1 $mode || code=1; done
    exit $code
fi
if mpirun --version 2>/dev/null | grep -q 'Open MPI) [5-9]' && ompi_info 2>/dev/null | grep -qi 'FT MPI support: yes'; then
    cd "$TOP"
    mkdir -p build
    exec bash "$TOP/tests/faults/ulfm.sh" --inside "$@"
fi

# ---- the root ---------------------------------------------------------------------------------
[ "$(id -u)" = 0 ] || skip "Open MPI here is without ULFM, and a Debian 13 root needs root"
command -v debootstrap >/dev/null || skip "Open MPI here is without ULFM, and debootstrap is missing"
packages="procps perl $(sed -n '/^packages="/,/"$/p' "$TOP/jobs/deps.sh" | sed 's/^packages="//; s/"$//' | tr '\n' ' ' |
    sed 's/dataset-fashion-mnist//')"
# The first source of packages that is not for security updates.
mirror() {
    { awk 'tolower($1) == "types:" {deb = $2 == "deb"} tolower($1) == "uris:" && deb {print $2}' \
        /etc/apt/sources.list.d/*.sources
      awk '$1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:/) {print $i; break}}' \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.list
    } 2>/dev/null | grep -v security | head -n 1
}
proxy() { apt-config dump 2>/dev/null | sed -n "s/^Acquire::$1::Proxy \"\(.*\)\";/\1/p"; }
# within COMMAND...: in namespaces of its own, the root's folders mounted; ends with all it started.
within() {
    ROOT=$ROOT unshare --mount --propagation private --pid --fork --kill-child -- bash -euc '
        mount --bind "$ROOT" "$ROOT"
        cd "$ROOT"
        mount -t proc proc proc
        mount --rbind /dev dev
        mount -t tmpfs -o mode=1777 tmpfs dev/shm
        mount --rbind /sys sys
        "$@"' within "$@"
}
install_packages() { # within the namespace; the mirror and how to reach it stay out of the root
    mount -t tmpfs tmpfs etc/apt/sources.list.d
    mount -t tmpfs tmpfs etc/apt/apt.conf.d
    echo "deb $MIRROR $SUITE main" >etc/apt/sources.list.d/here.list
    apt-config dump | grep -E '^Acquire::(http|https)::|^Acquire::Retries' >etc/apt/apt.conf.d/here || true
    for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
        [ ! -s $file ] || { mkdir -p ".$(dirname $file)"; touch ".$file"; mount --bind $file ".$file"; }
    done
    printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d # no service is started
    chmod 755 usr/sbin/policy-rc.d
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C
    chroot . apt-get update -qq
    # shellcheck disable=SC2086
    chroot . apt-get install -y -qq --no-install-recommends -o APT::Sandbox::User=root $NEED
}
make_root() {
    local package NEED="" MIRROR
    MIRROR=$(mirror)
    [ -n "$MIRROR" ] || die "no mirror in /etc/apt"
    mkdir -p "$ROOT"
    if [ ! -e "$ROOT/.base" ]; then
        echo "ulfm.sh: a Debian 13 root in $ROOT; some minutes"
        http_proxy=${http_proxy:-$(proxy http)} https_proxy=${https_proxy:-$(proxy https)} \
            debootstrap --variant=minbase --include=ca-certificates $SUITE "$ROOT" "$MIRROR" >"$ROOT.log" 2>&1 ||
            die "debootstrap failed; see $ROOT.log"
        rm -f "$ROOT/etc/apt/sources.list"
        touch "$ROOT/.base"
    fi
    for package in $packages; do
        chroot "$ROOT" dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
            NEED="$NEED $package"
    done
    [ -n "$NEED" ] || return 0
    echo "ulfm.sh: installing$NEED"
    export MIRROR NEED SUITE
    export -f install_packages
    within bash -euc install_packages >"$ROOT.log" 2>&1 || die "apt failed; see $ROOT.log"
}

exec 9>"$ROOT.lock"
flock 9 || die "$ROOT.lock cannot be locked"
make_root
# The tree as it stands, without what git ignores; what was built before is kept.
source=$ROOT/usr/src/granary
mkdir -p "$source/build"
find "$source" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
(cd "$TOP" && git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar --null -T - -cf -) | tar -C "$source" -xf -
flock -u 9
exec 9>&-
within env -u BUILD -u GRANARY -u TESTS -u OMPI_CC HOME=/root TMPDIR=/tmp LC_ALL=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    chroot . sh -c 'cd /usr/src/granary && exec bash tests/faults/ulfm.sh --inside "$@"' sh "$@"
