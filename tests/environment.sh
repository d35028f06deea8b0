# What mpirun needs where the tests run: as root or not, more ranks than cores, one thread a rank.
# Sourced by tests/run.sh, analysis/bench.sh and the system tests.
# Numbers are read and written with a point, whatever the user's language writes.
export LC_ALL=C
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# Open MPI itself leaks: with AddressSanitizer only what it finds besides leaks counts.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
export MPIRUN_FLAGS="--oversubscribe --bind-to none"
