/* Columns of text; see table.h. */
#include "cli/table.h"

#include <stdlib.h>

/* Fields of one row. More would be somebody's joke, and go unaligned. */
#define COLUMNS_MAX 64

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct bruit_bytes trim(struct bruit_bytes text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        text = br_bytes(text.data + 1, text.size - 1);
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* Takes what stands before `separator`; false when nothing is left. */
static bool take(struct bruit_bytes *text, uint8_t separator, struct bruit_bytes *field)
{
    if (text->data == NULL)
        return false;
    const uint8_t *end = text->size == 0 ? NULL : memchr(text->data, separator, text->size);
    *field = br_bytes(text->data, end == NULL ? text->size : (size_t)(end - text->data));
    if (end == NULL)
        *text = br_bytes(NULL, 0);
    else
        *text = br_bytes(end + 1, text->size - field->size - 1);
    return true;
}

/* In characters: bytes that go on a UTF-8 sequence do not count. */
static size_t width_of(struct bruit_bytes text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.size; i++)
        width += (text.data[i] & 0xc0) != 0x80;
    return width;
}

void br_columns_end_row(struct br_columns *columns)
{
    br_blob_text(&columns->rows, "\n");
}

void br_columns_add(struct br_columns *columns, struct bruit_bytes text)
{
    size_t start = columns->rows.size;
    br_blob_add(&columns->rows, text);
    for (size_t i = start; i < columns->rows.size; i++)
        if (columns->rows.data[i] == '\n')
            columns->rows.data[i] = ' ';
}

static struct bruit_bytes all_rows(const struct br_columns *columns)
{
    struct bruit_bytes rows = br_blob_bytes(&columns->rows);
    if (rows.size > 0)
        rows.size--; /* the newline of the last */
    return rows;
}

static void measure(struct bruit_bytes rows, size_t widths[COLUMNS_MAX])
{
    struct bruit_bytes row, field;
    while (take(&rows, '\n', &row)) {
        for (size_t i = 0; i < COLUMNS_MAX && take(&row, '|', &field); i++) {
            size_t width = width_of(trim(field));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
}

static void lay_out(struct bruit_bytes row, const size_t widths[COLUMNS_MAX], struct br_blob *out)
{
    struct bruit_bytes field;
    for (size_t i = 0; take(&row, '|', &field); i++) {
        struct bruit_bytes text = trim(field);
        size_t width = width_of(text);
        br_blob_add(out, text);
        if (row.data != NULL)
            br_blob_printf(out, "%*s",
                           (int)(2 + (i < COLUMNS_MAX && widths[i] > width ? widths[i] - width : 0)), "");
    }
}

void br_columns_format(struct br_columns *columns, struct br_blob *out)
{
    size_t widths[COLUMNS_MAX] = {0};
    struct br_blob text = BR_BLOB_EMPTY;
    struct bruit_bytes rows = all_rows(columns), row;
    measure(rows, widths);
    for (bool is_first = true; take(&rows, '\n', &row); is_first = false) {
        if (!is_first)
            br_blob_text(&text, "\n");
        lay_out(row, widths, &text);
    }
    br_blob_add(out, trim(br_blob_bytes(&text)));
    out->failed |= text.failed || columns->rows.failed;
    br_blob_release(&text);
    br_blob_release(&columns->rows);
}
