/*
 * Building a report; see report.h. Printing is in report_text.c, report_data.c and report_html.c.
 */
#include "sim/report_parts.h"

#include "base/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *must_have(void *memory)
{
    if (memory == NULL) {
        (void)fprintf(stderr, "bruit-sim: out of memory for the report: ask for fewer results at once.\n");
        exit(1);
    }
    return memory;
}

/* One more item behind `*items`, zeroed. Grows by doubling: `count` alone says when it is full. */
static void *append(void *items_address, size_t *count, size_t item_size)
{
    void *items;
    memcpy(&items, items_address, sizeof items);
    if ((*count & (*count - 1)) == 0) { /* 0 or a power of two */
        items = must_have(realloc(items, (*count == 0 ? 1 : 2 * *count) * item_size));
        memcpy(items_address, &items, sizeof items);
    }
    char *item = (char *)items + (*count)++ * item_size;
    memset(item, 0, item_size);
    return item;
}

static char *copied(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(must_have(malloc(size)), text, size);
}

static char *formatted(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    BR_ASSERT(size >= 0);
    char *text = must_have(malloc((size_t)size + 1));
    (void)vsnprintf(text, (size_t)size + 1, format, arguments);
    return text;
}

struct br_report *br_report_new(const char *name, const char *title)
{
    struct br_report *report = must_have(calloc(1, sizeof *report));
    report->name = copied(name);
    report->title = copied(title);
    return report;
}

/* ------------------------------------------------------------------ configuration and notes */

void br_report_set(struct br_report *report, const char *key, const char *format, ...)
{
    struct br_setting *setting = append(&report->settings, &report->setting_count, sizeof *setting);
    setting->key = copied(key);
    va_list arguments;
    va_start(arguments, format);
    setting->text = formatted(format, arguments);
    va_end(arguments);
}

void br_report_set_number(struct br_report *report, const char *key, double value)
{
    br_report_set(report, key, value == floor(value) && fabs(value) < 1e15 ? "%.0f" : "%.15g", value);
    struct br_setting *setting = &report->settings[report->setting_count - 1];
    setting->number = value;
    setting->is_number = true;
}

void br_report_note(struct br_report *report, const char *format, ...)
{
    char **note = append(&report->notes, &report->note_count, sizeof *note);
    va_list arguments;
    va_start(arguments, format);
    *note = formatted(format, arguments);
    va_end(arguments);
}

/* ------------------------------------------------------------------ tables */

struct br_sheet *br_report_sheet(struct br_report *report, const char *name, const char *caption)
{
    struct br_sheet **place = append(&report->sheets, &report->sheet_count, sizeof(struct br_sheet *));
    struct br_sheet *sheet = must_have(calloc(1, sizeof *sheet));
    sheet->name = copied(name);
    sheet->caption = copied(caption);
    *place = sheet;
    return sheet;
}

void br_sheet_column(struct br_sheet *sheet, const char *name, const char *heading, int decimals)
{
    BR_ASSERT(sheet->cell_count == 0);
    BR_ASSERT(decimals >= -1 && decimals <= 9);
    struct br_column *column = append(&sheet->columns, &sheet->column_count, sizeof *column);
    column->name = copied(name);
    column->heading = copied(heading);
    column->decimals = decimals;
}

void br_sheet_number(struct br_sheet *sheet, double value)
{
    struct br_cell *cell = append(&sheet->cells, &sheet->cell_count, sizeof *cell);
    cell->number = value;
}

void br_sheet_text(struct br_sheet *sheet, const char *format, ...)
{
    struct br_cell *cell = append(&sheet->cells, &sheet->cell_count, sizeof *cell);
    va_list arguments;
    va_start(arguments, format);
    cell->text = formatted(format, arguments);
    va_end(arguments);
}

const char *br_cell_shown(const struct br_cell *cell, const struct br_column *column,
                          char room[BR_CELL_TEXT_MAX])
{
    if (cell->text != NULL)
        return cell->text;
    if (!isfinite(cell->number))
        return "-";
    if (column->decimals < 0 || fabs(cell->number) >= 1e15)
        (void)snprintf(room, BR_CELL_TEXT_MAX, "%.3g", cell->number);
    else
        (void)snprintf(room, BR_CELL_TEXT_MAX, "%.*f", column->decimals, cell->number);
    return room;
}

/* ------------------------------------------------------------------ charts */

struct br_chart *br_report_chart(struct br_report *report, const char *name, const char *title,
                                 const char *x_label, const char *y_label)
{
    struct br_chart **place = append(&report->charts, &report->chart_count, sizeof(struct br_chart *));
    struct br_chart *chart = must_have(calloc(1, sizeof *chart));
    chart->name = copied(name);
    chart->title = copied(title);
    chart->x_label = copied(x_label);
    chart->y_label = copied(y_label);
    *place = chart;
    return chart;
}

void br_chart_log_x(struct br_chart *chart)
{
    chart->log_x = true;
}

void br_chart_log_y(struct br_chart *chart)
{
    chart->log_y = true;
}

struct br_line *br_chart_line(struct br_chart *chart, const char *name, enum br_line_style style)
{
    struct br_line **place = append(&chart->lines, &chart->line_count, sizeof(struct br_line *));
    struct br_line *line = must_have(calloc(1, sizeof *line));
    line->name = copied(name);
    line->style = style;
    *place = line;
    return line;
}

void br_line_point(struct br_line *line, double x, double y)
{
    double *point = append(&line->points, &line->count, 2 * sizeof(double));
    point[0] = x;
    point[1] = y;
}

/* ------------------------------------------------------------------ the end */

static void free_sheet(struct br_sheet *sheet)
{
    for (size_t i = 0; i < sheet->column_count; i++) {
        free(sheet->columns[i].name);
        free(sheet->columns[i].heading);
    }
    for (size_t i = 0; i < sheet->cell_count; i++)
        free(sheet->cells[i].text);
    free(sheet->columns);
    free(sheet->cells);
    free(sheet->name);
    free(sheet->caption);
    free(sheet);
}

static void free_chart(struct br_chart *chart)
{
    for (size_t i = 0; i < chart->line_count; i++) {
        free(chart->lines[i]->name);
        free(chart->lines[i]->points);
        free(chart->lines[i]);
    }
    free(chart->lines);
    free(chart->name);
    free(chart->title);
    free(chart->x_label);
    free(chart->y_label);
    free(chart);
}

void br_report_free(struct br_report *report)
{
    if (report == NULL)
        return;
    for (size_t i = 0; i < report->setting_count; i++) {
        free(report->settings[i].key);
        free(report->settings[i].text);
    }
    for (size_t i = 0; i < report->sheet_count; i++)
        free_sheet(report->sheets[i]);
    for (size_t i = 0; i < report->chart_count; i++)
        free_chart(report->charts[i]);
    for (size_t i = 0; i < report->note_count; i++)
        free(report->notes[i]);
    free(report->settings);
    free(report->sheets);
    free(report->charts);
    free(report->notes);
    free(report->name);
    free(report->title);
    free(report);
}
