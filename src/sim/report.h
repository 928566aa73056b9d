/*
 * The answer of an experiment, described once and shown in four ways.
 *
 * A report is a title, the configuration it was made with, tables, charts and notes. An experiment fills one
 * in and does not care how it is read: as text in a terminal (tables aligned, curves drawn with block
 * characters), as JSON, as CSV, or as one HTML page that needs no network (plots by uPlot, which is inside).
 *
 *     struct br_report *report = br_report_new("spread", "How a rumour reaches everybody");
 *     br_report_set_number(report, "seed", 7);
 *     br_report_set(report, "loss", "%g %%", 2.0);
 *     br_report_print_head(report, stdout);                  first of all: what is about to run
 *     struct br_sheet *sheet = br_report_sheet(report, "summary", "What it took");
 *     br_sheet_column(sheet, "nodes", "nodes", 0);
 *     br_sheet_column(sheet, "rounds", "rounds", 2);
 *     br_sheet_number(sheet, 1000);
 *     br_sheet_number(sheet, 17.9);                          a row is complete when it has all its columns
 *     struct br_chart *chart = br_report_chart(report, "informed", "Who has heard", "round", "share");
 *     struct br_line *line = br_chart_line(chart, "push", BR_LINE_SOLID);
 *     br_line_point(line, 0, 0.001);
 *     br_report_print_text(report, stdout);
 *
 * All texts are copied. What these functions return lives as long as the report and is never NULL: reports are
 * small, and memory that runs out over one ends the program with a sentence.
 */
#ifndef BR_SIM_REPORT_H
#define BR_SIM_REPORT_H

#include <bruit/types.h>

#include <stdio.h>

struct br_report;
struct br_sheet;
struct br_chart;
struct br_line;

enum br_line_style {
    BR_LINE_SOLID,  /* what was measured */
    BR_LINE_DASHED, /* what theory says */
    BR_LINE_DOTS,   /* points that belong to no curve */
};

/* `name` is a word for machines, `title` a line for people. */
struct br_report *br_report_new(const char *name, const char *title);
void br_report_free(struct br_report *report);

/* The configuration, in the order in which it is to be read. Seeds and revisions belong here. */
void br_report_set(struct br_report *report, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void br_report_set_number(struct br_report *report, const char *key, double value);

/* A sentence below everything: what the numbers leave out, where a formula comes from. */
void br_report_note(struct br_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A table. `name` is for machines (and unique), `caption` for people. */
struct br_sheet *br_report_sheet(struct br_report *report, const char *name, const char *caption);

/* All columns come before the first cell. `decimals` 0 to 9 for numbers, -1: as many as it takes (%g). */
void br_sheet_column(struct br_sheet *sheet, const char *name, const char *heading, int decimals);
/* The next cell of the row; a number that is not finite is shown as "-" and is null in JSON. */
void br_sheet_number(struct br_sheet *sheet, double value);
void br_sheet_text(struct br_sheet *sheet, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct br_chart *br_report_chart(struct br_report *report, const char *name, const char *title,
                                 const char *x_label, const char *y_label);
/* The x axis in decades: for sizes. */
void br_chart_log_x(struct br_chart *chart);
/* The same for the y axis: for rare events. */
void br_chart_log_y(struct br_chart *chart);
/* One curve; its points in rising order of x. */
struct br_line *br_chart_line(struct br_chart *chart, const char *name, enum br_line_style style);
void br_line_point(struct br_line *line, double x, double y);

/*
 * Writes the report: 0, or BRUIT_EIO when the file took no more. The head is the title and the configuration;
 * the text is all the rest, so that a command prints the head before it starts and the text when it is done.
 * JSON, CSV and HTML are always whole.
 */
int br_report_print_head(const struct br_report *report, FILE *out);
int br_report_print_text(const struct br_report *report, FILE *out);
int br_report_print_json(const struct br_report *report, FILE *out);
int br_report_print_csv(const struct br_report *report, FILE *out);
int br_report_print_html(const struct br_report *report, FILE *out);

/* As br_report_print_html() into a new file. On failure `why` says which sentence to print. */
int br_report_write_html(const struct br_report *report, const char *path, char *why, size_t why_size);

#endif
