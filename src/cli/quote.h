/*
 * Text of somebody else's on a terminal: in quotes, in Go's notation, so that one line stays one line.
 */
#ifndef BR_CLI_QUOTE_H
#define BR_CLI_QUOTE_H

#include "agent/blob.h"

/* What does not print is escaped, of characters beyond ASCII those of C1 alone; bytes that are no UTF-8 as \x00. */
void br_quote(struct br_blob *out, struct bruit_bytes text);

#endif
