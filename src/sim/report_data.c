/*
 * A report for machines: JSON and CSV.
 *
 * JSON is one object: "report", "title", "configuration" (an object), "tables" (by name, a list of rows, each an
 * object by column), "charts" (by name; points are [x, y]) and "notes". CSV begins with the configuration in
 * lines that start with '#'; then comes each table, named in such a line and followed by an empty one, and last
 * all curves as one table (chart, line, x, y).
 */
#include "sim/report_parts.h"

#include <bruit/error.h>

#include <math.h>
#include <string.h>

static int finish(FILE *out)
{
    return fflush(out) != 0 || ferror(out) ? BRUIT_EIO : 0;
}

/* ------------------------------------------------------------------ JSON */

void br_report_number(FILE *out, double number)
{
    bool is_whole = fabs(number) < 0x1p53 && number == floor(number);
    (void)fprintf(out, is_whole ? "%.0f" : "%.15g", number);
}

void br_report_json_number(FILE *out, double number)
{
    if (isfinite(number))
        br_report_number(out, number);
    else
        (void)fputs("null", out);
}

void br_report_json_text(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (const char *c = text; *c != 0; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\')
            (void)fprintf(out, "\\%c", byte);
        else if (byte < 0x20 || byte == '<')
            (void)fprintf(out, "\\u%04x", byte);
        else
            (void)fputc(byte, out);
    }
    (void)fputc('"', out);
}

static void json_key(FILE *out, const char *key, bool first)
{
    (void)fputs(first ? "" : ", ", out);
    br_report_json_text(out, key);
    (void)fputs(": ", out);
}

static void json_settings(FILE *out, const struct br_report *report)
{
    for (size_t i = 0; i < report->setting_count; i++) {
        const struct br_setting *setting = &report->settings[i];
        json_key(out, setting->key, i == 0);
        if (setting->is_number)
            br_report_json_number(out, setting->number);
        else
            br_report_json_text(out, setting->text);
    }
}

static void json_row(FILE *out, const struct br_sheet *sheet, size_t first)
{
    (void)fputc('{', out);
    for (size_t c = 0; c < sheet->column_count && first + c < sheet->cell_count; c++) {
        const struct br_cell *cell = &sheet->cells[first + c];
        json_key(out, sheet->columns[c].name, c == 0);
        if (cell->text != NULL)
            br_report_json_text(out, cell->text);
        else
            br_report_json_number(out, cell->number);
    }
    (void)fputc('}', out);
}

static void json_sheets(FILE *out, const struct br_report *report)
{
    for (size_t i = 0; i < report->sheet_count; i++) {
        const struct br_sheet *sheet = report->sheets[i];
        json_key(out, sheet->name, i == 0);
        (void)fputc('[', out);
        for (size_t at = 0; at < sheet->cell_count; at += sheet->column_count) {
            (void)fputs(at == 0 ? "\n  " : ",\n  ", out);
            json_row(out, sheet, at);
        }
        (void)fputc(']', out);
    }
}

static void json_line(FILE *out, const struct br_line *line)
{
    static const char *const styles[] = {"solid", "dashed", "dots"};
    (void)fputs("{\"name\": ", out);
    br_report_json_text(out, line->name);
    (void)fprintf(out, ", \"style\": \"%s\", \"points\": [", styles[line->style]);
    for (size_t i = 0; i < line->count; i++) {
        (void)fputs(i == 0 ? "[" : ", [", out);
        br_report_json_number(out, line->points[2 * i]);
        (void)fputs(", ", out);
        br_report_json_number(out, line->points[2 * i + 1]);
        (void)fputc(']', out);
    }
    (void)fputs("]}", out);
}

void br_report_json_charts(FILE *out, const struct br_report *report)
{
    (void)fputc('{', out);
    for (size_t i = 0; i < report->chart_count; i++) {
        const struct br_chart *chart = report->charts[i];
        json_key(out, chart->name, i == 0);
        (void)fputs("{\"title\": ", out);
        br_report_json_text(out, chart->title);
        (void)fputs(", \"x\": ", out);
        br_report_json_text(out, chart->x_label);
        (void)fputs(", \"y\": ", out);
        br_report_json_text(out, chart->y_label);
        (void)fprintf(out, ", \"log_x\": %s, \"log_y\": %s, \"lines\": [", chart->log_x ? "true" : "false",
                      chart->log_y ? "true" : "false");
        for (size_t l = 0; l < chart->line_count; l++) {
            (void)fputs(l == 0 ? "\n  " : ",\n  ", out);
            json_line(out, chart->lines[l]);
        }
        (void)fputs("]}", out);
    }
    (void)fputc('}', out);
}

int br_report_print_json(const struct br_report *report, FILE *out)
{
    (void)fputs("{\"report\": ", out);
    br_report_json_text(out, report->name);
    (void)fputs(",\n\"title\": ", out);
    br_report_json_text(out, report->title);
    (void)fputs(",\n\"configuration\": {", out);
    json_settings(out, report);
    (void)fputs("},\n\"tables\": {", out);
    json_sheets(out, report);
    (void)fputs("},\n\"charts\": ", out);
    br_report_json_charts(out, report);
    (void)fputs(",\n\"notes\": [", out);
    for (size_t i = 0; i < report->note_count; i++) {
        (void)fputs(i == 0 ? "" : ", ", out);
        br_report_json_text(out, report->notes[i]);
    }
    (void)fputs("]}\n", out);
    return finish(out);
}

/* ------------------------------------------------------------------ CSV, as RFC 4180 has it, but newlines are '\n' */

static void csv_text(FILE *out, const char *text)
{
    if (strpbrk(text, ",\"\n\r") == NULL) {
        (void)fputs(text, out);
        return;
    }
    (void)fputc('"', out);
    for (const char *c = text; *c != 0; c++) {
        if (*c == '"')
            (void)fputc('"', out);
        (void)fputc(*c, out);
    }
    (void)fputc('"', out);
}

static void csv_number(FILE *out, double number)
{
    if (isfinite(number)) /* else nothing: an empty field */
        br_report_number(out, number);
}

static void csv_sheet(FILE *out, const struct br_sheet *sheet)
{
    (void)fprintf(out, "# table: %s\n", sheet->name);
    for (size_t c = 0; c < sheet->column_count; c++) {
        (void)fputs(c == 0 ? "" : ",", out);
        csv_text(out, sheet->columns[c].name);
    }
    for (size_t i = 0; i < sheet->cell_count; i++) {
        (void)fputc(i % sheet->column_count == 0 ? '\n' : ',', out);
        if (sheet->cells[i].text != NULL)
            csv_text(out, sheet->cells[i].text);
        else
            csv_number(out, sheet->cells[i].number);
    }
    (void)fputs("\n\n", out);
}

static void csv_lines(FILE *out, const struct br_chart *chart)
{
    for (size_t l = 0; l < chart->line_count; l++) {
        const struct br_line *line = chart->lines[l];
        for (size_t i = 0; i < line->count; i++) {
            csv_text(out, chart->name);
            (void)fputc(',', out);
            csv_text(out, line->name);
            (void)fputc(',', out);
            csv_number(out, line->points[2 * i]);
            (void)fputc(',', out);
            csv_number(out, line->points[2 * i + 1]);
            (void)fputc('\n', out);
        }
    }
}

int br_report_print_csv(const struct br_report *report, FILE *out)
{
    (void)fprintf(out, "# %s\n", report->title);
    for (size_t i = 0; i < report->setting_count; i++)
        (void)fprintf(out, "# %s: %s\n", report->settings[i].key, report->settings[i].text);
    for (size_t i = 0; i < report->sheet_count; i++)
        csv_sheet(out, report->sheets[i]);
    if (report->chart_count > 0)
        (void)fputs("# table: curves\nchart,line,x,y\n", out);
    for (size_t i = 0; i < report->chart_count; i++)
        csv_lines(out, report->charts[i]);
    return finish(out);
}
