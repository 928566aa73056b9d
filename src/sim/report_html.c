/*
 * A report as one page that needs no network: style, data and the plotting library are inside.
 *
 * The plots are uPlot's (MIT; html/uplot.license goes into the page with it), drawn by html/page.js from the
 * charts as JSON. Tables are plain HTML: they can be read, copied and searched without any script.
 */
#include "sim/report_parts.h"

#include "sim/html/embedded.h"

#include <bruit/error.h>

#include <errno.h>
#include <string.h>

static void escaped(FILE *out, const char *text)
{
    for (const char *c = text; *c != 0; c++) {
        if (*c == '<')
            (void)fputs("&lt;", out);
        else if (*c == '&')
            (void)fputs("&amp;", out);
        else
            (void)fputc(*c, out);
    }
}

static void element(FILE *out, const char *name, const char *text)
{
    (void)fprintf(out, "<%s>", name);
    escaped(out, text);
    (void)fprintf(out, "</%s>\n", name);
}

static void embed(FILE *out, struct bruit_bytes bytes)
{
    (void)fwrite(bytes.data, 1, bytes.size, out);
}

static void print_settings(const struct br_report *report, FILE *out)
{
    (void)fputs("<details open><summary>Configuration</summary><table class=\"settings\">\n", out);
    for (size_t i = 0; i < report->setting_count; i++) {
        (void)fputs("<tr>", out);
        element(out, "th", report->settings[i].key);
        element(out, "td", report->settings[i].text);
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</table></details>\n", out);
}

static void print_sheet(const struct br_sheet *sheet, FILE *out)
{
    char room[BR_CELL_TEXT_MAX];
    element(out, "h2", sheet->caption);
    (void)fputs("<div class=\"wide\"><table><thead><tr>", out);
    for (size_t c = 0; c < sheet->column_count; c++) {
        bool is_text = c < sheet->cell_count && sheet->cells[c].text != NULL;
        (void)fputs(is_text ? "<th class=\"text\">" : "<th>", out);
        escaped(out, sheet->columns[c].heading);
        (void)fputs("</th>", out);
    }
    (void)fputs("</tr></thead><tbody>", out);
    for (size_t i = 0; i < sheet->cell_count; i++) {
        size_t column = i % sheet->column_count;
        (void)fputs(column == 0 ? "<tr>" : "", out);
        (void)fputs(sheet->cells[i].text != NULL ? "<td class=\"text\">" : "<td>", out);
        escaped(out, br_cell_shown(&sheet->cells[i], &sheet->columns[column], room));
        (void)fputs(column + 1 == sheet->column_count ? "</td></tr>\n" : "</td>", out);
    }
    (void)fputs("</tbody></table></div>\n", out);
}

static void print_body(const struct br_report *report, FILE *out)
{
    element(out, "h1", report->title);
    print_settings(report, out);
    (void)fputs("<div id=\"charts\"></div>\n", out);
    for (size_t i = 0; i < report->sheet_count; i++)
        print_sheet(report->sheets[i], out);
    for (size_t i = 0; i < report->note_count; i++)
        element(out, "p", report->notes[i]);
    (void)fputs("<footer>Made by bruit-sim. Plots: uPlot.</footer>\n", out);
}

int br_report_print_html(const struct br_report *report, FILE *out)
{
    (void)fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width\">\n",
                out);
    element(out, "title", report->title);
    (void)fputs("<style>\n", out);
    embed(out, br_html_uplot_css());
    embed(out, br_html_page_css());
    (void)fputs("</style>\n</head>\n<body>\n", out);
    print_body(report, out);
    (void)fputs("<script type=\"application/json\" id=\"data\">\n", out);
    br_report_json_charts(out, report);
    (void)fputs("</script>\n<script>\n/* uPlot:\n", out);
    embed(out, br_html_uplot_license());
    (void)fputs("\n*/\n", out);
    embed(out, br_html_uplot_js());
    (void)fputs("</script>\n<script>\n", out);
    embed(out, br_html_page_js());
    (void)fputs("</script>\n</body>\n</html>\n", out);
    return fflush(out) != 0 || ferror(out) ? BRUIT_EIO : 0;
}

int br_report_write_html(const struct br_report *report, const char *path, char *why, size_t why_size)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        (void)snprintf(why, why_size, "%s cannot be written (%s): give --html another file.", path,
                       strerror(errno));
        return BRUIT_EIO;
    }
    int code = br_report_print_html(report, out);
    if (fclose(out) != 0 || code != 0) {
        (void)snprintf(why, why_size,
                       "%s could not be written to its end (%s): make room, or give --html "
                       "another file.",
                       path, strerror(errno));
        return BRUIT_EIO;
    }
    return 0;
}
