/* SPDX-License-Identifier: Apache-2.0 */
/* The look of the report, and what goes into it one piece at a time. */
#include "observe/html.h"

#include <math.h>
#include <string.h>

const char gr_html_style[] =
    ":root{color-scheme:light dark;--page:#f6f7f8;--card:#fff;--ink:#1c2024;--muted:#626a73;"
    "--line:#e1e4e8;--good:#1d7a46;--warn:#a35a00;--bad:#b3261e;--accent:#2f6fc4}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#131518;--card:#1c1f24;--ink:#e6e8eb;"
    "--muted:#9aa3ad;--line:#30353c;--good:#5cc48b;--warn:#e0a458;--bad:#f08a80;"
    "--accent:#7fb0f0}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);"
    "font:15px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}\n"
    "main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}\n"
    "h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}\n"
    "h2{font-size:17px;margin:34px 0 12px}\n"
    "h3{font-size:14px;font-weight:600;margin:0 0 6px}\n"
    "p{margin:6px 0}\n"
    ".muted{color:var(--muted)}\n"
    ".head{display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center}\n"
    ".badge{font-size:13px;font-weight:600;padding:2px 11px;border-radius:99px;"
    "border:1px solid currentColor;color:var(--muted)}\n"
    ".finished{color:var(--good)}.stopped,.running{color:var(--warn)}.failed{color:var(--bad)}\n"
    ".grid{display:grid;gap:14px}\n"
    ".figures{grid-template-columns:repeat(auto-fit,minmax(150px,1fr));margin-top:20px}\n"
    ".curves{grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr))}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:10px;"
    "padding:14px 16px;min-width:0}\n"
    ".figure b{display:block;font-size:23px;font-weight:600;line-height:1.3;"
    "white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    ".figure small{font-size:14px;font-weight:400;color:var(--muted)}\n"
    ".figure span{color:var(--muted);font-size:13px}\n"
    "figure{margin:0}figure svg{display:block;width:100%;height:auto}\n"
    "svg text,svg tspan{fill:var(--muted);font-family:inherit}svg .gridline{stroke:var(--line)}\n"
    ".scroll{overflow-x:auto;padding:0}\n"
    "table{border-collapse:collapse;width:100%;font-size:13px;"
    "font-variant-numeric:tabular-nums}\n"
    "th,td{padding:5px 10px;text-align:right;white-space:nowrap;"
    "border-top:1px solid var(--line)}\n"
    "thead th{border-top:0;color:var(--muted);font-weight:600;font-size:12.5px}\n"
    "tbody tr:hover{background:color-mix(in srgb,var(--accent) 8%,transparent)}\n"
    ".left th,.left td{text-align:left}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 20px;margin:0}\n"
    "dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}\n"
    "code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
    "monospace}\n"
    "code{overflow-wrap:anywhere}\n"
    "pre{margin:10px 0 0;overflow-x:auto;white-space:pre}\n"
    "summary{cursor:pointer;font-weight:600}\n"
    "ul{margin:0;padding-left:20px}li{overflow-wrap:anywhere}\n"
    "footer{margin-top:36px;color:var(--muted);font-size:13px}\n"
    "@media(max-width:560px){main{padding:20px 12px 32px}h1{font-size:22px}"
    ".figures{grid-template-columns:1fr 1fr;gap:10px}.figure b{font-size:19px}"
    "dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}.card{padding:12px}"
    ".card.scroll{padding:0}th,td{padding:6px 9px}}\n"
    "@media print{:root{--page:#fff;--card:#fff;--ink:#000;--muted:#444;--line:#ccc;"
    "color-scheme:light}body{font-size:11pt}main{max-width:none;padding:0}"
    ".card{break-inside:avoid}.card.scroll{break-inside:auto;overflow:visible}"
    "table{font-size:8pt}th,td{padding:2px 5px}tr{break-inside:avoid}"
    "details>:not(summary){display:block}pre{white-space:pre-wrap}}\n";

void gr_html_text(FILE *page, const char *text) {
    if (!text) text = "\xe2\x80\x93";
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", page);
            break;
        case '<':
            fputs("&lt;", page);
            break;
        case '>':
            fputs("&gt;", page);
            break;
        case '"':
            fputs("&quot;", page);
            break;
        case '\'':
            fputs("&#39;", page);
            break;
        default:
            fputc(*text, page);
        }
    }
}

void gr_html_count(FILE *page, uint64_t count) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) fputc(',', page);
        fputc(digits[i], page);
    }
}

void gr_html_bytes(FILE *page, double bytes) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    for (; bytes >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1000;
    fprintf(page, unit == 0 ? "%.0f %s" : "%.3g %s", bytes, units[unit]);
}

void gr_html_seconds(FILE *page, double seconds) {
    if (!isfinite(seconds))
        gr_html_text(page, NULL);
    else if (seconds < 1)
        fprintf(page, "%.0f ms", 1000 * seconds);
    else if (seconds < 60)
        fprintf(page, "%.1f s", seconds);
    else if (seconds < 3600)
        fprintf(page, "%.0f min %.0f s", floor(seconds / 60), floor(fmod(seconds, 60)));
    else
        fprintf(page, "%.0f h %.0f min", floor(seconds / 3600), floor(fmod(seconds / 60, 60)));
}

void gr_html_real(FILE *page, double value, int decimals) {
    if (isfinite(value))
        fprintf(page, "%.*f", decimals, value);
    else
        gr_html_text(page, NULL);
}
