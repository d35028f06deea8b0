/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libraries that this program is made of, and the system it runs on. Nothing here names a host,
 * a user or a path: of the MPI library's own description only the part that says which release it
 * is.
 */
#include <granary/base.h>

#include <curl/curl.h>
#include <cyaml/cyaml.h>
#include <gnutls/gnutls.h>
#include <gsl/gsl_version.h>
#include <hdf5.h>
#include <microhttpd.h>
#include <oneapi/dnnl/dnnl.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>
#include <zlib.h>

#include "store/run_directory.h"

/* Declared here because headers named cblas.h differ in whether they have it. */
char *openblas_get_config(void);

struct list {
    struct gr_version *out;
    size_t n;
};

/* Values are quoted, as they come from libraries and /proc; a list that is full takes no more. */
static void add(struct list *list, const char *name, const char *value) {
    if (list->n == GR_VERSIONS_MAX) return;
    struct gr_version *version = &list->out[list->n++];
    snprintf(version->name, sizeof version->name, "%s", name);
    gr_text_quote(value, strlen(value), version->value, sizeof version->value);
}

/* "Open MPI v4.1.4, package: ... user@host ..." is cut at the first comma. */
static void add_mpi(struct list *list) {
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "", level[16] = "not started";
    int length = 0, initialised = 0, finalised = 0, provided = MPI_THREAD_SINGLE;
    MPI_Get_library_version(text, &length);
    text[strcspn(text, ",\n\t")] = '\0';
    add(list, "MPI", text);
    MPI_Initialized(&initialised);
    MPI_Finalized(&finalised);
    if (initialised && !finalised && MPI_Query_thread(&provided) == MPI_SUCCESS)
        snprintf(level, sizeof level, "%s",
                 provided == MPI_THREAD_SINGLE       ? "single"
                 : provided == MPI_THREAD_FUNNELED   ? "funneled"
                 : provided == MPI_THREAD_SERIALIZED ? "serialized"
                                                     : "multiple");
    add(list, "MPI threads", level);
    add(list, "MPI fault tolerance", gr_comm_fault_tolerance());
}

static void add_hdf5(struct list *list) {
    unsigned major = 0, minor = 0, release = 0;
    char text[64];
    H5get_libversion(&major, &minor, &release);
    snprintf(text, sizeof text, "%u.%u.%u, parallel", major, minor, release);
    add(list, "HDF5", text);
}

/* The instruction set that oneDNN uses, on which the rounding of its kernels may depend. */
static const char *isa_text(dnnl_cpu_isa_t isa) {
    static const struct {
        unsigned isa;
        const char *text;
    } names[] = {
        {dnnl_cpu_isa_sse41, "SSE4.1"},
        {dnnl_cpu_isa_avx, "AVX"},
        {dnnl_cpu_isa_avx2, "AVX2"},
        {dnnl_cpu_isa_avx2_vnni, "AVX2 VNNI"},
        {dnnl_cpu_isa_avx512_core, "AVX-512"},
        {dnnl_cpu_isa_avx512_core_vnni, "AVX-512 VNNI"},
        {dnnl_cpu_isa_avx512_core_bf16, "AVX-512 BF16"},
        {dnnl_cpu_isa_avx512_core_amx, "AMX"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].isa == (unsigned)isa) return names[i].text;
    return "other";
}

static void add_onednn(struct list *list) {
    const dnnl_version_t *version = dnnl_version();
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
    add(list, "oneDNN", text);
}

static void add_kernels(struct list *list) {
    add_onednn(list);
    add(list, "BLAS", openblas_get_config());
    add(list, "instructions", isa_text(dnnl_get_effective_cpu_isa()));
}

/* The first processor's model name; "unknown" where /proc/cpuinfo has none. */
static void add_processor(struct list *list) {
    char line[256] = "", model[160] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "re");
    for (int i = 0; file && i < 64 && fgets(line, sizeof line, file); i++) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value) continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        snprintf(model, sizeof model, "%s", value);
        break;
    }
    if (file) fclose(file);
    add(list, "processor", model);
}

/* The end of https that calls has a library of TLS of its own. */
static void add_https(struct list *list) {
    char text[96];
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    snprintf(text, sizeof text, "%s, %s", curl->version,
             curl->ssl_version ? curl->ssl_version : "no TLS");
    add(list, "libcurl", text);
    add(list, "libmicrohttpd", MHD_get_version());
    add(list, "GnuTLS", gnutls_check_version(NULL));
    add(list, "OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING));
}

/* The order is that of the text and the manifest; at most GR_VERSIONS_MAX. */
size_t gr_versions_list(struct gr_version out[GR_VERSIONS_MAX]) {
    struct list list = {out, 0};
    add(&list, "granary", GRANARY_VERSION);
    add(&list, "build", gr_build_id());
    add_mpi(&list);
    add_hdf5(&list);
    add(&list, "GSL", gsl_version);
    add_kernels(&list);
    add(&list, "libsodium", sodium_version_string());
    add(&list, "libcyaml", cyaml_version_str);
    add(&list, "libyaml", yaml_get_version_string());
    add(&list, "jansson", jansson_version_str());
    add(&list, "zlib", zlibVersion());
    add_https(&list);
    add_processor(&list);
    return list.n;
}

/* Not by way of the list: who asks for oneDNN's instruction set fixes it. */
gr_status gr_libraries_text(char **out) {
    struct gr_version versions[GR_VERSIONS_MAX];
    struct list list = {versions, 0};
    add_mpi(&list);
    const struct gr_version *mpi = &versions[0];
    add_hdf5(&list);
    const struct gr_version *hdf5 = &versions[list.n - 1];
    add_onednn(&list);
    const struct gr_version *onednn = &versions[list.n - 1];
    return gr_text_format(out, "%s %s\n%s %s\n%s %s\n", mpi->name, mpi->value, hdf5->name,
                          hdf5->value, onednn->name, onednn->value);
}

/* A line for each, the value from GR_VERSIONS_COLUMN on; ranks with the same text are listed
 * together in the manifest. */
gr_status gr_versions_text(char **out) {
    struct gr_version versions[GR_VERSIONS_MAX];
    size_t n = gr_versions_list(versions);
    char *text = NULL;
    for (size_t i = 0; i < n; i++) {
        char *longer = NULL;
        gr_status status =
            gr_text_format(&longer, "%s%-*s%s\n", text ? text : "", (int)GR_VERSIONS_COLUMN,
                           versions[i].name, versions[i].value);
        gr_free(text);
        if (status != GR_OK) return status;
        text = longer;
    }
    *out = text;
    return GR_OK;
}
