#!/usr/bin/env bash
# Installs what granary is built and tested with, where apt is; elsewhere says what to load.
#   jobs/deps.sh [--quiet] [--peers] [--slurm] [--hosts] [--sites] [--ulfm] [--lint]
# --quiet  says nothing when all is there
# --peers  also what the comparisons of `make bench` need (PyTorch, scikit-learn, mpi4py, pandas)
# --slurm  also what `make test-slurm` needs
# --hosts  also what `make test-hosts` needs
# --sites  also what `make test-sites` needs, and the proxies of the tests of institutions
# --ulfm   also what `make test-ulfm` needs
# --lint   also what `make lint` and `make headers` need
set -eu
quiet= peers= slurm= hosts= sites= ulfm= lint=
for word; do
    case $word in
    --quiet) quiet=1 ;;
    --peers) peers=1 ;;
    --slurm) slurm=1 ;;
    --hosts) hosts=1 ;;
    --sites) sites=1 ;;
    --ulfm) ulfm=1 ;;
    --lint) lint=1 ;;
    *) echo "deps.sh: unknown option $word" >&2; exit 64 ;;
    esac
done

packages="gcc make pkg-config openmpi-bin libopenmpi-dev libhdf5-openmpi-dev libgsl-dev libdnnl-dev
          libopenblas-serial-dev libsodium-dev libcyaml-dev libyaml-dev libjansson-dev zlib1g-dev
          libcurl4-openssl-dev libmicrohttpd-dev libgnutls28-dev libssl-dev check procps dataset-fashion-mnist"
[ -z "$peers" ] || packages="$packages python3-torch python3-mpi4py python3-numpy python3-pandas python3-sklearn"
[ -z "$slurm" ] || packages="$packages slurm-wlm munge"
[ -z "$hosts" ] || packages="$packages iproute2 util-linux libfuse3-dev"
[ -z "$sites" ] || packages="$packages tinyproxy-bin nginx-light openssl rsync iproute2 nftables tcpdump socat faketime util-linux"
[ -z "$ulfm" ] || packages="$packages debootstrap util-linux"
[ -z "$lint" ] || packages="$packages clang clang-tidy clang-format cppcheck g++"

if ! command -v apt-get >/dev/null; then
    cat <<'TEXT'
No apt here. With Spack:
  spack install openmpi@4.1: hdf5+mpi gsl onednn openblas libsodium jansson zlib curl libmicrohttpd+https gnutls openssl check
  spack load openmpi hdf5 gsl onednn openblas libsodium jansson zlib curl libmicrohttpd gnutls openssl check
libcyaml and libyaml: spack install libyaml; libcyaml is built from its release with `make install`.
With environment modules, names like these:
  module load gcc openmpi hdf5/parallel gsl onednn openblas libsodium jansson zlib curl libmicrohttpd gnutls openssl
Fashion-MNIST: the four idx gz files, in any folder; see data.train in configs/fashion-mnist.yaml.
TEXT
    exit 0
fi

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
        missing="$missing $package"
done
if [ -z "$missing" ]; then
    [ -n "$quiet" ] || echo "deps: all packages are installed"
    exit 0
fi
echo "deps: installing$missing"
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "deps: ask an administrator for:$missing" >&2; exit 1; }
    as_root=sudo
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
echo "deps: done"
