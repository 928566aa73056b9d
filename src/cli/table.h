/*
 * Columns of text, laid out as Serf's command line does it (docs/wire/serf-agent.md section 7).
 *
 * A row is one text with '|' between its fields, so a '|' within a field makes another column, as with
 * Serf. Fields are trimmed, stand two blanks apart, and are padded to the widest of their column, save the
 * last of each row; the whole is trimmed too.
 */
#ifndef BR_CLI_TABLE_H
#define BR_CLI_TABLE_H

#include "agent/blob.h"

struct br_columns {
    struct br_blob rows; /* each ended by a newline */
};

/* Ends the row that was written into `rows`. */
void br_columns_end_row(struct br_columns *columns);

/* Adds text from elsewhere to the row; its newlines become blanks. */
void br_columns_add(struct br_columns *columns, struct bruit_bytes text);

/* Lays the rows out into `out`, without a final newline, and releases them. */
void br_columns_format(struct br_columns *columns, struct br_blob *out);

#endif
