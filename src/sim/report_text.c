/*
 * A report for a terminal: aligned tables, and curves drawn with block characters.
 *
 * Each character cell can be filled in eighths from below, so eight rows show 64 heights. A chart of one solid
 * curve is drawn large; of several, each is one row, for comparison at a glance. Dashed lines and dots are for
 * pages: here they would only be in the way.
 */
#include "sim/report_parts.h"

#include <bruit/error.h>

#include <math.h>
#include <string.h>

#define COLUMNS 64 /* of a drawn curve: with its labels it fits into 80 */
#define ROWS 8
#define CELL_MAX 4 /* columns for each of few points */
#define WRAP 100   /* columns of notes */

static const char *const eighths[9] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

static int finish(FILE *out)
{
    return fflush(out) != 0 || ferror(out) ? BRUIT_EIO : 0;
}

/* Columns that UTF-8 text takes: every byte but the continuations. Wide characters do not occur. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != 0; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void pad(FILE *out, int columns)
{
    for (int i = 0; i < columns; i++)
        (void)fputc(' ', out);
}

int br_report_print_head(const struct br_report *report, FILE *out)
{
    (void)fprintf(out, "%s\n\n", report->title);
    int widest = 0;
    for (size_t i = 0; i < report->setting_count; i++)
        if (width_of(report->settings[i].key) > widest)
            widest = width_of(report->settings[i].key);
    for (size_t i = 0; i < report->setting_count; i++) {
        (void)fprintf(out, "  %s", report->settings[i].key);
        pad(out, widest - width_of(report->settings[i].key) + 2);
        (void)fprintf(out, "%s\n", report->settings[i].text);
    }
    (void)fputc('\n', out);
    return finish(out);
}

/* ------------------------------------------------------------------ tables */

static int column_width(const struct br_sheet *sheet, size_t column, bool *is_text)
{
    char room[BR_CELL_TEXT_MAX];
    int width = width_of(sheet->columns[column].heading);
    *is_text = false;
    for (size_t i = column; i < sheet->cell_count; i += sheet->column_count) {
        int shown = width_of(br_cell_shown(&sheet->cells[i], &sheet->columns[column], room));
        width = shown > width ? shown : width;
        *is_text = *is_text || sheet->cells[i].text != NULL;
    }
    return width;
}

/* Row `row` of the sheet, or its headings for SIZE_MAX. Numbers are flush right, texts flush left. */
static void print_row(const struct br_sheet *sheet, size_t row, FILE *out)
{
    char room[BR_CELL_TEXT_MAX];
    for (size_t c = 0; c < sheet->column_count; c++) {
        bool is_text;
        int width = column_width(sheet, c, &is_text);
        size_t at = row * sheet->column_count + c;
        const char *shown = sheet->columns[c].heading;
        if (row != SIZE_MAX)
            shown = at < sheet->cell_count ? br_cell_shown(&sheet->cells[at], &sheet->columns[c], room) : "";
        pad(out, 2);
        if (!is_text)
            pad(out, width - width_of(shown));
        (void)fputs(shown, out);
        if (is_text && c + 1 < sheet->column_count)
            pad(out, width - width_of(shown));
    }
    (void)fputc('\n', out);
}

static void print_sheet(const struct br_sheet *sheet, FILE *out)
{
    (void)fprintf(out, "%s\n\n", sheet->caption);
    print_row(sheet, SIZE_MAX, out);
    for (size_t row = 0; row * sheet->column_count < sheet->cell_count; row++)
        print_row(sheet, row, out);
    (void)fputc('\n', out);
}

/* ------------------------------------------------------------------ curves */

struct frame {
    double x_min, x_max, y_min, y_max;
    bool log_x, log_y;
    size_t columns;
    size_t cell; /* columns for each point, when they are few */
};

static double scaled(double value, bool is_log)
{
    return is_log ? log10(value) : value;
}

static void take_point(struct frame *frame, double x, double y)
{
    x = scaled(x, frame->log_x);
    y = scaled(y, frame->log_y);
    if (!isfinite(x) || !isfinite(y))
        return;
    frame->x_min = x < frame->x_min ? x : frame->x_min;
    frame->x_max = x > frame->x_max ? x : frame->x_max;
    frame->y_min = y < frame->y_min ? y : frame->y_min;
    frame->y_max = y > frame->y_max ? y : frame->y_max;
}

static bool is_drawn(const struct br_line *line)
{
    return line->style == BR_LINE_SOLID && line->count > 0;
}

/* What the curves span. Heights are seen from zero unless they are in decades. False: nothing to draw. */
static bool make_frame(const struct br_chart *chart, struct frame *frame)
{
    *frame = (struct frame){.x_min = INFINITY,
                            .x_max = -INFINITY,
                            .y_min = INFINITY,
                            .y_max = -INFINITY,
                            .log_x = chart->log_x,
                            .log_y = chart->log_y,
                            .columns = COLUMNS};
    size_t points = 0;
    for (size_t l = 0; l < chart->line_count; l++) {
        const struct br_line *line = chart->lines[l];
        for (size_t i = 0; is_drawn(line) && i < line->count; i++)
            take_point(frame, line->points[2 * i], line->points[2 * i + 1]);
        if (is_drawn(line) && line->count > points)
            points = line->count;
    }
    if (!(frame->x_max > frame->x_min))
        return false;
    if (!frame->log_y && frame->y_min > 0)
        frame->y_min = 0;
    if (!(frame->y_max > frame->y_min))
        frame->y_max = frame->y_min + 1;
    if (points <= COLUMNS) {
        frame->cell = COLUMNS / points < CELL_MAX ? COLUMNS / points : CELL_MAX;
        frame->columns = points * frame->cell;
    }
    return true;
}

/* The curve's height in a column, 0 to 1: of the last point at or before it. Negative: none. */
static double height_at(const struct br_line *line, const struct frame *frame, size_t column)
{
    size_t cell = frame->cell > 0 ? frame->cell : 1;
    double share = (double)(column / cell) / (double)(frame->columns / cell - 1);
    double x = frame->x_min + share * (frame->x_max - frame->x_min);
    double height = -1;
    for (size_t i = 0; i < line->count; i++) {
        double y = scaled(line->points[2 * i + 1], frame->log_y);
        if (scaled(line->points[2 * i], frame->log_x) > x + 1e-9)
            break;
        if (isfinite(y))
            height = (y - frame->y_min) / (frame->y_max - frame->y_min);
    }
    return height;
}

/* The part of a curve that falls into one row of `rows`, counted from below. */
static void draw_row(const struct br_line *line, const struct frame *frame, int row, int rows, FILE *out)
{
    for (size_t column = 0; column < frame->columns; column++) {
        double height = height_at(line, frame, column);
        int filled = height < 0 ? 0 : (int)lround(height * 8 * rows) - 8 * row;
        if (row == 0 && height >= 0 && filled < 1)
            filled = 1; /* a curve is there, however low */
        filled = filled < 0 ? 0 : filled > 8 ? 8 : filled;
        (void)fputs(eighths[filled], out);
    }
}

static double unscaled(double value, bool is_log)
{
    return is_log ? pow(10, value) : value;
}

static void draw_x_axis(const struct br_chart *chart, const struct frame *frame, int indent, FILE *out)
{
    char from[BR_CELL_TEXT_MAX], to[BR_CELL_TEXT_MAX];
    (void)snprintf(from, sizeof from, "%.6g", unscaled(frame->x_min, frame->log_x));
    (void)snprintf(to, sizeof to, "%.6g %s", unscaled(frame->x_max, frame->log_x), chart->x_label);
    pad(out, indent);
    (void)fputs(from, out);
    int gap = (int)frame->columns - width_of(from) - width_of(to);
    pad(out, gap > 1 ? gap : 1);
    (void)fprintf(out, "%s\n", to);
}

static void draw_large(const struct br_chart *chart, const struct br_line *line, const struct frame *frame,
                       FILE *out)
{
    for (int row = ROWS - 1; row >= 0; row--) {
        if (row == ROWS - 1)
            (void)fprintf(out, "  %9.3g ┤", unscaled(frame->y_max, frame->log_y));
        else if (row == 0)
            (void)fprintf(out, "  %9.3g ┤", unscaled(frame->y_min, frame->log_y));
        else
            (void)fprintf(out, "  %9s │", "");
        draw_row(line, frame, row, ROWS, out);
        (void)fputc('\n', out);
    }
    draw_x_axis(chart, frame, 13, out);
}

static void draw_rows(const struct br_chart *chart, const struct frame *frame, FILE *out)
{
    int widest = 0;
    for (size_t l = 0; l < chart->line_count; l++)
        if (is_drawn(chart->lines[l]) && width_of(chart->lines[l]->name) > widest)
            widest = width_of(chart->lines[l]->name);
    for (size_t l = 0; l < chart->line_count; l++) {
        const struct br_line *line = chart->lines[l];
        if (!is_drawn(line))
            continue;
        (void)fprintf(out, "  %s", line->name);
        pad(out, widest - width_of(line->name));
        (void)fputs(" │", out);
        draw_row(line, frame, 0, 1, out);
        (void)fputs("│\n", out);
    }
    draw_x_axis(chart, frame, widest + 4, out);
}

static void print_chart(const struct br_chart *chart, FILE *out)
{
    struct frame frame;
    size_t drawn = 0, last = 0;
    for (size_t l = 0; l < chart->line_count; l++)
        if (is_drawn(chart->lines[l])) {
            drawn++;
            last = l;
        }
    if (drawn == 0 || !make_frame(chart, &frame))
        return;
    (void)fprintf(out, "%s (%s)\n\n", chart->title, chart->y_label);
    if (drawn == 1)
        draw_large(chart, chart->lines[last], &frame, out);
    else
        draw_rows(chart, &frame, out);
    (void)fputc('\n', out);
}

/* ------------------------------------------------------------------ all of it */

static void print_wrapped(const char *text, FILE *out)
{
    int column = 0;
    while (*text != 0) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + (int)word > WRAP) {
            (void)fputc('\n', out);
            column = 0;
        }
        (void)fputs(column == 0 ? "  " : " ", out);
        (void)fwrite(text, 1, word, out);
        column += (int)word + 1;
        text += word + strspn(text + word, " ");
    }
    (void)fputc('\n', out);
}

int br_report_print_text(const struct br_report *report, FILE *out)
{
    for (size_t i = 0; i < report->chart_count; i++)
        print_chart(report->charts[i], out);
    for (size_t i = 0; i < report->sheet_count; i++)
        print_sheet(report->sheets[i], out);
    for (size_t i = 0; i < report->note_count; i++)
        print_wrapped(report->notes[i], out);
    return finish(out);
}
