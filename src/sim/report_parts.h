/*
 * What a report is made of, for the files that print one.
 */
#ifndef BR_SIM_REPORT_PARTS_H
#define BR_SIM_REPORT_PARTS_H

#include "sim/report.h"

struct br_setting {
    char *key;
    char *text;    /* for people, and for machines unless it is a number */
    double number; /* of use when is_number */
    bool is_number;
};

struct br_column {
    char *name;
    char *heading;
    int decimals;
};

struct br_cell {
    char *text;    /* NULL: a number */
    double number; /* may be a NaN or infinite: nothing to say */
};

/* Cell c of row r is cells[r * column_count + c]. */
struct br_sheet {
    char *name;
    char *caption;
    struct br_column *columns;
    size_t column_count;
    struct br_cell *cells;
    size_t cell_count;
};

struct br_line {
    char *name;
    enum br_line_style style;
    double *points; /* x, y, x, y, ... */
    size_t count;   /* of points */
};

struct br_chart {
    char *name;
    char *title;
    char *x_label;
    char *y_label;
    bool log_x;
    bool log_y;
    struct br_line **lines;
    size_t line_count;
};

struct br_report {
    char *name;
    char *title;
    struct br_setting *settings;
    size_t setting_count;
    struct br_sheet **sheets;
    size_t sheet_count;
    struct br_chart **charts;
    size_t chart_count;
    char **notes;
    size_t note_count;
};

#define BR_CELL_TEXT_MAX 64

/* What a cell shows to people: its text, or its number into `room`. */
const char *br_cell_shown(const struct br_cell *cell, const struct br_column *column,
                          char room[BR_CELL_TEXT_MAX]);

/* A number as machines read it, to 15 digits; whole ones to the last. */
void br_report_number(FILE *out, double number);

/* The same or null, and a quoted text, as JSON; `<` is escaped, so that it can stand in a page. */
void br_report_json_number(FILE *out, double number);
void br_report_json_text(FILE *out, const char *text);

/* The charts as a JSON object: what the page draws. */
void br_report_json_charts(FILE *out, const struct br_report *report);

#endif
