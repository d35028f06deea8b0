/* SPDX-License-Identifier: Apache-2.0 */
/* granary import: IDX files to an HDF5 table. */
#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gr_status read_count(const char *option, const char *text, size_t *out) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > UINT32_MAX) {
        char quoted[80];
        gr_text_quote(text, strlen(text), quoted, sizeof quoted);
        return gr_fail(GR_ERROR_USAGE, "import: %s: found '%s', expected 0 to %u", option, quoted,
                       UINT32_MAX);
    }
    *out = (size_t)value;
    return GR_OK;
}

gr_status gr_command_import(struct gr_invocation *invocation) {
    static const struct option options[] = {
        {"features", required_argument, NULL, 'f'}, {"labels", required_argument, NULL, 'l'},
        {"first", required_argument, NULL, '1'},    {"rows", required_argument, NULL, 'n'},
        {"output", required_argument, NULL, 'o'},   {0}};
    gr_status status = GR_OK;
    const char *features = NULL, *labels = NULL, *output = NULL;
    size_t first = 0, rows = 0;
    int option;
    while ((option = gr_next_option(invocation, ":o:", options)) != -1) {
        switch (option) {
        case 'f':
            features = optarg;
            break;
        case 'l':
            labels = optarg;
            break;
        case '1':
            GR_TRY(read_count("--first", optarg, &first));
            break;
        case 'n':
            GR_TRY(read_count("--rows", optarg, &rows));
            break;
        case 'o':
            output = optarg;
            break;
        default:
            return GR_ERROR_USAGE;
        }
    }
    if (!features || !labels || !output || optind < invocation->argc)
        return gr_fail(GR_ERROR_USAGE, "import: expected --features, --labels and -o, and nothing "
                                       "else; see `granary help import`");
    GR_TRY(gr_import_idx(features, labels, first, rows, output));
    struct gr_table_summary summary;
    char *path = NULL;
    GR_TRY(gr_text_format(&path, "%s", output));
    struct gr_table_config table = {.file = path, .features = path + strlen(path)};
    table.labels = table.features;
    status = gr_table_summarise(&table, GR_SOURCE_HDF5, &summary);
    if (status == GR_OK)
        printf("%s: %zu rows, %u classes\n", output, summary.n_rows, summary.n_classes);
    gr_free(path);
out:
    return status;
}
