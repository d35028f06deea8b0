// SPDX-License-Identifier: Apache-2.0
// Reads a config from C++, and prints what it says of the model's bits.
//
//   mpicxx -DOMPI_SKIP_MPICXX settings.cpp $(pkg-config --cflags --libs granary) -o settings
//   ./settings config.yaml
#include <iostream>
#include <memory>

#include <granary/granary.h>

int main(int argc, char **argv) {
    gr_config *loaded = nullptr;
    if (argc != 2 || gr_base_start() != GR_OK) return GR_ERROR_USAGE;
    if (const gr_status status = gr_config_load(argv[1], nullptr, 0, &loaded)) {
        std::cerr << gr_message() << '\n';
        return status;
    }
    const std::unique_ptr<gr_config, decltype(&gr_config_free)> config(loaded, gr_config_free);
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    if (const gr_status status = gr_config_digest(config.get(), digest)) return status;
    gr_digest_hex(digest, hex);
    std::cout << config->run.name << ' ' << hex << '\n';
}
