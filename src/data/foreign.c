/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of other programs, told by their first bytes, so that a user is told how to convert the
 * file and not that line 1 has a strange byte. Signatures are the formats' own; none of these files
 * is read.
 */
#include "data/foreign.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "data/reader.h"

#define AS_CSV      ": write it as CSV from the program that made it"
#define FROM_PYTHON ": write it as CSV (pandas' to_csv) or HDF5 (h5py)"

/*
 * Bytes at an offset, and what a file is that has them there; the first that fits counts. Order
 * matters: a zip's members come before zip itself, UTF-32 before UTF-16, whose mark it begins with.
 */
struct magic {
    size_t offset, length;
    const char *bytes, *what;
};

#define AT(offset, bytes, what)                                                                    \
    { offset, sizeof(bytes) - 1, bytes, what }

static const struct magic magics[] = {
    AT(30, "[Content_Types].xml",
       "an Excel workbook or another Office file (xlsx, docx): save its "
       "sheet as CSV (UTF-8)"),
    AT(30, "_rels/",
       "an Excel workbook or another Office file (xlsx, docx): save its sheet as CSV "
       "(UTF-8)"),
    AT(30, "docProps/", "an Office file (xlsx, docx): save its sheet as CSV (UTF-8)"),
    AT(30, "xl/", "an Excel workbook (xlsx): save its sheet as CSV (UTF-8)"),
    AT(30, "mimetypeapplication/vnd.oasis.opendocument",
       "an OpenDocument file (ods): save its sheet as CSV (UTF-8)"),
    AT(0, "PK\x03\x04", "a zip archive: unpack it"),
    AT(0, "PK\x05\x06", "an empty zip archive"),
    AT(0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
       "an Excel workbook or another Office file of before 2007 (xls): save its sheet as CSV "
       "(UTF-8)"),
    AT(0, "PAR1\x15", "a Parquet file" FROM_PYTHON),
    AT(0, "ARROW1\x00\x00", "an Arrow or Feather file" FROM_PYTHON),
    AT(0, "FEA1\x00\x00\x00\x00", "a Feather file" FROM_PYTHON),
    AT(0, "Obj\x01", "an Avro file" FROM_PYTHON),
    AT(0, "\x93NUMPY", "a NumPy array (npy)" FROM_PYTHON),
    AT(0, "\x80\x02", "a Python pickle" FROM_PYTHON),
    AT(0, "\x80\x03", "a Python pickle" FROM_PYTHON),
    AT(0, "\x80\x04\x95", "a Python pickle" FROM_PYTHON),
    AT(0, "\x80\x05\x95", "a Python pickle" FROM_PYTHON),
    AT(0, "<stata_dta>", "a Stata file (dta): write it with Stata's `export delimited`"),
    AT(0, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xC2\xEA\x81\x60",
       "a SAS file (sas7bdat): write it with `proc export`, dbms=csv"),
    AT(0, "HEADER RECORD*******",
       "a SAS transport file (xpt): write it with `proc export`, "
       "dbms=csv"),
    AT(0, "$FL2", "an SPSS file (sav): write it with `SAVE TRANSLATE /TYPE=CSV`"),
    AT(0, "$FL3", "an SPSS file (zsav): write it with `SAVE TRANSLATE /TYPE=CSV`"),
    AT(0, "RDX2\n", "an R workspace (RData): write its table with R's write.csv"),
    AT(0, "RDX3\n", "an R workspace (RData): write its table with R's write.csv"),
    AT(0, "X\n\x00\x00\x00", "an R object (rds): write it with R's write.csv"),
    AT(0, "MATLAB 5.0 MAT-file",
       "a MATLAB file (mat): write its table with writetable, or save it "
       "with -v7.3, which is HDF5"),
    AT(0, "CDF\x01", "a netCDF file: write it as HDF5 (netCDF-4) in the form of the manual"),
    AT(0, "CDF\x02", "a netCDF file: write it as HDF5 (netCDF-4) in the form of the manual"),
    AT(0, "SQLite format 3\x00",
       "an SQLite database: export the table as CSV (`sqlite3 -header "
       "-csv`)"),
    AT(0, "\xFD\x37zXZ\x00", "compressed with xz: unpack it (`unxz`), or compress it with gzip"),
    AT(4, "1AY&SY", "compressed with bzip2: unpack it (`bunzip2`), or compress it with gzip"),
    AT(0, "\x28\xB5\x2F\xFD",
       "compressed with zstd: unpack it (`unzstd`), or compress it with "
       "gzip"),
    AT(0, "\x04\x22\x4D\x18", "compressed with lz4: unpack it (`unlz4`), or compress it with gzip"),
    AT(0, "7z\xBC\xAF\x27\x1C", "a 7-Zip archive: unpack it"),
    AT(0, "Rar!\x1A", "a RAR archive: unpack it"),
    AT(257, "ustar", "a tar archive: unpack it"),
    AT(0, "%PDF", "a PDF document: it holds no table that can be read" AS_CSV),
    AT(0, "{\\rtf", "a text document (rtf)" AS_CSV),
    AT(0, "<?xml", "XML" AS_CSV),
    AT(0, "\x89PNG", "an image (png): images are read as IDX or HDF5"),
    AT(0, "\xFF\xD8\xFF", "an image (jpeg): images are read as IDX or HDF5"),
    AT(0, "\xFF\xFE\x00\x00", "text in UTF-32: save it as UTF-8"),
    AT(0, "\x00\x00\xFE\xFF", "text in UTF-32: save it as UTF-8"),
    AT(0, "\xFF\xFE",
       "text in UTF-16: save it as UTF-8 (Excel: \"CSV UTF-8\"; or `iconv -f UTF-16 "
       "-t UTF-8`)"),
    AT(0, "\xFE\xFF",
       "text in UTF-16: save it as UTF-8 (Excel: \"CSV UTF-8\"; or `iconv -f UTF-16 "
       "-t UTF-8`)"),
    AT(0, "\x89HDF\r\n\x1A\n", "an HDF5 file: data.source is hdf5 for those"),
    AT(0, "\x1F\x8B", "compressed with gzip: unpack it (`gunzip`)"),
};

/* IDX: two zeros, a type, a number of dimensions. */
static bool is_idx(const unsigned char *p, size_t n) {
    return n >= 4 && p[0] == 0 && p[1] == 0 && p[2] >= 0x08 && p[2] <= 0x0E && p[3] >= 1 &&
           p[3] <= 4;
}

/* Stata before version 13: the release, the byte order, a 1 and a 0. */
static bool is_stata(const unsigned char *p, size_t n) {
    return n >= 4 && p[0] >= 102 && p[0] <= 116 && (p[1] == 1 || p[1] == 2) && p[2] == 1 &&
           p[3] == 0;
}

static const char *skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p;
}

/* JSON, HTML and Weka's ARFF begin with signs that a table's first line has not. */
static const char *tell_text(const char *p, const char *end) {
    p = skip_space(p, end);
    const size_t n = (size_t)(end - p);
    const char *next = n > 0 ? skip_space(p + 1, end) : end;
    if (n > 0 && *p == '{' && next < end && (*next == '"' || *next == '}')) return "JSON" AS_CSV;
    if (n > 0 && *p == '[' && next < end && strchr("{[\"-0123456789", *next) && *next)
        return "JSON" AS_CSV;
    if ((n > 5 && strncasecmp(p, "<html", 5) == 0) ||
        (n > 14 && strncasecmp(p, "<!doctype html", 14) == 0))
        return "a page of HTML, perhaps of a failed download" AS_CSV;
    if (n > 9 && strncasecmp(p, "@relation", 9) == 0) return "a Weka file (arff)" AS_CSV;
    return NULL;
}

/* A byte that no text has. UTF-16 of Western text has a zero in every second byte. */
static const char *tell_zeros(const unsigned char *p, size_t n) {
    size_t even = 0, odd = 0;
    for (size_t i = 0; i < n; i++)
        if (p[i] == 0) *(i % 2 ? &odd : &even) += 1;
    if (even + odd == 0) return NULL;
    if (even + odd >= n / 3)
        return "text in UTF-16 without a mark, or not text: save it as UTF-8 (`iconv -f UTF-16LE "
               "-t UTF-8`)";
    return "not text: it holds bytes of 0";
}

/* A form that is known, text or not. */
static const char *tell(const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    const bool zip = n > 30 && memcmp(p, "PK\x03\x04", 4) == 0;
    for (size_t i = 0; zip && i < n && i < 64; i++)
        if (i >= 34 && memcmp(p + i - 4, ".npy", 4) == 0) return "NumPy arrays (npz)" FROM_PYTHON;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *m = &magics[i];
        if (m->offset == 30 && !zip) continue;
        if (m->offset + m->length <= n && memcmp(p + m->offset, m->bytes, m->length) == 0)
            return m->what;
    }
    if (is_idx(p, n)) return "an IDX file: data.source is idx for those";
    if (is_stata(p, n)) return "a Stata file (dta): write it with Stata's `export delimited`";
    return tell_text(bytes, (const char *)bytes + n);
}

const char *gr_foreign_file(const void *bytes, size_t n) {
    if (n > GR_FOREIGN_BYTES) n = GR_FOREIGN_BYTES;
    const char *what = tell(bytes, n);
    return what ? what : tell_zeros(bytes, n);
}

/* Valid UTF-8, but for a character that is cut off at the end, in lines. */
static bool is_text(const char *bytes, size_t n) {
    if (!memchr(bytes, '\n', n)) return false;
    for (size_t cut = 0; cut < 4 && cut < n; cut++)
        if (gr_text_is_utf8(bytes, n - cut)) return true;
    return false;
}

/* A file that cannot be told is left to its own reader, whose message is more exact. */
gr_status gr_foreign_refuse(const char *path, const char *expected) {
    char bytes[GR_FOREIGN_BYTES];
    size_t size;
    int fd;
    gr_status status = gr_open_regular(path, &fd, &size);
    if (status != GR_OK) return status;
    const ssize_t got = read(fd, bytes, sizeof bytes);
    close(fd);
    if (got < 4) return GR_OK;
    const bool idx = strcmp(expected, "an IDX file") == 0;
    const bool zipped = memcmp(bytes, "\x1F\x8B", 2) == 0;
    const bool same = idx ? zipped || is_idx((unsigned char *)bytes, (size_t)got)
                          : memcmp(bytes, "\x89HDF", 4) == 0;
    if (same) return GR_OK;
    const char *what = tell(bytes, (size_t)got);
    if (!what && is_text(bytes, (size_t)got))
        what = "text, perhaps CSV: data.source is csv for that, and `granary import` reads it";
    if (!what) return GR_OK;
    return gr_fail(GR_ERROR_DATA, "%s: expected %s, found %s", path, expected, what);
}
