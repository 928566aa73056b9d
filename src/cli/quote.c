/* Text in quotes; see quote.h. */
#include "cli/quote.h"

#include "cli/json.h"

static void write_ascii(struct br_blob *out, uint8_t c)
{
    static const char names[] = "\a\b\t\n\v\f\r"; /* 7 to 13 */
    static const char letters[] = "abtnvfr";
    const char *name = c == 0 ? NULL : strchr(names, c);
    if (name != NULL)
        br_blob_printf(out, "\\%c", letters[name - names]);
    else if (c == '"' || c == '\\')
        br_blob_printf(out, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
        br_blob_printf(out, "\\x%02x", c);
    else
        br_blob_add(out, br_bytes(&c, 1));
}

void br_quote(struct br_blob *out, struct bruit_bytes text)
{
    br_blob_text(out, "\"");
    while (text.size > 0) {
        size_t size = br_rune_size(text);
        if (size == 1)
            write_ascii(out, text.data[0]);
        else if (size == 0)
            br_blob_printf(out, "\\x%02x", text.data[0]);
        else if (size == 2 && text.data[0] == 0xc2 && text.data[1] < 0xa0)
            br_blob_printf(out, "\\u00%02x", text.data[1]);
        else
            br_blob_add(out, br_bytes(text.data, size));
        size += size == 0;
        text = br_bytes(text.data + size, text.size - size);
    }
    br_blob_text(out, "\"");
}
