# Small IDX files for the system tests, made by perl, which every Debian has.

# idx_images FILE ROWS SEED [SIDE]: 6 x 6 bytes, or SIDE x SIDE; the class (row % 4) lights one quarter.
idx_images() {
    perl -e '
        my ($rows, $seed, $side) = @ARGV; srand($seed);
        print pack("NNNN", 0x00000803, $rows, $side, $side);
        for my $row (0 .. $rows - 1) {
            my $class = $row % 4;
            for my $y (0 .. $side - 1) { for my $x (0 .. $side - 1) {
                my $lit = int(2 * $y / $side) * 2 + int(2 * $x / $side) == $class;
                print chr(int(rand(100)) + ($lit ? 120 : 0)); } }
        }' "$2" "$3" "${4:-6}" >"$1"
}
# idx_labels FILE ROWS
idx_labels() { perl -e 'print pack("NN", 0x00000801, $ARGV[0]); print chr($_ % 4) for 0 .. $ARGV[0] - 1' "$2" >"$1"; }

# make_tables: train and test tables of 403 and 90 rows in the working folder, and small.yaml.
make_tables() {
    idx_images train-images 403 1; idx_labels train-labels 403
    idx_images test-images 90 2; idx_labels test-labels 90
    gzip -k train-images train-labels
    cat >small.yaml <<'YAML'
run: {name: small, rounds: 6, seed: 3}
data:
  source: idx
  silos: 9
  train: {features: train-images.gz, labels: train-labels.gz}
  test: {features: test-images, labels: test-labels}
  partition: {method: dirichlet, alpha: 0.5, minimum_rows: 3}
  validation_fraction: 0.1
model: {type: mlp, hidden: [12, 7], activation: relu}
train: {learning_rate: 0.1, batch_size: 8, epochs: 1}
checkpoint: {every: 2, keep: 2}
YAML
}
