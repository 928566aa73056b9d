/* JSON as Go writes it; see json.h. */
#include "cli/json.h"

#include "agent/value.h"

#include <stdio.h>
#include <stdlib.h>

static void new_line(struct br_json *json)
{
    if (!json->is_compact)
        br_blob_printf(&json->out, "\n%*s", (int)(2 * json->depth), "");
}

void br_json_open(struct br_json *json, char bracket)
{
    br_blob_add(&json->out, br_bytes(&bracket, 1));
    json->depth++;
    json->has_items = false;
}

void br_json_close(struct br_json *json, char bracket)
{
    json->depth--;
    if (json->has_items)
        new_line(json);
    br_blob_add(&json->out, br_bytes(&bracket, 1));
    json->has_items = true; /* of whatever this was an item of */
}

void br_json_item(struct br_json *json)
{
    if (json->has_items)
        br_blob_text(&json->out, ",");
    json->has_items = true;
    new_line(json);
}

void br_json_key(struct br_json *json, struct bruit_bytes key)
{
    br_json_item(json);
    br_json_text(json, key);
    br_blob_text(&json->out, json->is_compact ? ":" : ": ");
}

void br_json_name(struct br_json *json, const char *key)
{
    br_json_key(json, br_bytes_string(key));
}

size_t br_rune_size(struct bruit_bytes text)
{
    uint8_t first = text.data[0];
    size_t size = first < 0x80   ? 1
                  : first < 0xc2 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf5 ? 4
                                 : 0;
    if (size == 0 || size > text.size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
    bool is_overlong = (first == 0xe0 && text.data[1] < 0xa0) || (first == 0xf0 && text.data[1] < 0x90);
    bool is_beyond = (first == 0xed && text.data[1] >= 0xa0) || (first == 0xf4 && text.data[1] >= 0x90);
    return is_overlong || is_beyond ? 0 : size;
}

bool br_json_is_text(struct bruit_bytes text)
{
    while (text.size > 0) {
        size_t size = br_rune_size(text);
        if (size == 0)
            return false;
        text = br_bytes(text.data + size, text.size - size);
    }
    return true;
}

static void write_ascii(struct br_json *json, uint8_t c)
{
    char pair[3] = {'\\', (char)c, 0};
    switch (c) {
    case '"':
    case '\\': br_blob_text(&json->out, pair); break;
    case '\n': br_blob_text(&json->out, "\\n"); break;
    case '\r': br_blob_text(&json->out, "\\r"); break;
    case '\t': br_blob_text(&json->out, "\\t"); break;
    default:
        if (c < 0x20 || c == '<' || c == '>' || c == '&')
            br_blob_printf(&json->out, "\\u%04x", c);
        else
            br_blob_add(&json->out, br_bytes(&c, 1));
        break;
    }
}

void br_json_text(struct br_json *json, struct bruit_bytes text)
{
    br_blob_text(&json->out, "\"");
    while (text.size > 0) {
        size_t size = br_rune_size(text);
        if (size == 0)
            br_blob_text(&json->out, "\\ufffd");
        else if (size == 1)
            write_ascii(json, text.data[0]);
        else if (size == 3 && memcmp(text.data, "\xe2\x80\xa8", 3) == 0)
            br_blob_text(&json->out, "\\u2028");
        else if (size == 3 && memcmp(text.data, "\xe2\x80\xa9", 3) == 0)
            br_blob_text(&json->out, "\\u2029");
        else
            br_blob_add(&json->out, br_bytes(text.data, size));
        size += size == 0;
        text = br_bytes(text.data + size, text.size - size);
    }
    br_blob_text(&json->out, "\"");
}

static void write_base64(struct br_json *json, struct bruit_bytes bytes)
{
    size_t size = 4 * ((bytes.size + 2) / 3);
    uint8_t *place = br_blob_reserve(&json->out, size + 3);
    if (place == NULL)
        return; /* and the blob knows */
    place[0] = '"';
    br_base64_encode(bytes, (char *)place + 1);
    place[size + 1] = '"';
    json->out.size += size + 2;
}

void br_json_bytes(struct br_json *json, const char *name, struct bruit_bytes bytes)
{
    char base64_name[64];
    if (br_json_is_text(bytes)) {
        br_json_name(json, name);
        br_json_text(json, bytes);
        return;
    }
    (void)snprintf(base64_name, sizeof base64_name, "%s_base64", name);
    br_json_name(json, base64_name);
    write_base64(json, bytes);
}

void br_json_number(struct br_json *json, uint64_t number)
{
    br_blob_printf(&json->out, "%llu", (unsigned long long)number);
}

void br_json_null(struct br_json *json)
{
    br_blob_text(&json->out, "null");
}

void br_json_bool(struct br_json *json, bool value)
{
    br_blob_text(&json->out, value ? "true" : "false");
}

void br_json_real(struct br_json *json, double number)
{
    br_blob_printf(&json->out, "%.3f", number);
}

void br_json_exact(struct br_json *json, double number)
{
    char text[32];
    for (int digits = 15; digits <= 17; digits++) { /* 17 are always enough */
        (void)snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    br_blob_text(&json->out, text);
}
