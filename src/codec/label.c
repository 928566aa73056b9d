/*
 * The label header (label.h).
 */
#include "codec/label.h"

#include "base/bytes.h"
#include "base/check.h"
#include "codec/memberlist.h"

#define HEADER_FIXED 2 /* type byte and length */

static enum bruit_drop judge(const struct br_label_rule *rule, struct bruit_bytes label);

size_t br_label_size(struct bruit_bytes label)
{
    return label.size == 0 ? 0 : HEADER_FIXED + label.size;
}

size_t br_label_write(uint8_t *out, struct bruit_bytes label)
{
    BR_ASSERT(label.size <= BRUIT_LABEL_MAX);
    if (label.size == 0)
        return 0;
    out[0] = BR_HAS_LABEL;
    out[1] = (uint8_t)label.size;
    memcpy(out + HEADER_FIXED, label.data, label.size);
    return HEADER_FIXED + label.size;
}

enum bruit_drop br_label_check(const struct br_label_rule *rule, struct bruit_bytes bytes, size_t *size,
                               size_t *needed)
{
    struct br_reader r;

    *size = 0;
    *needed = 0;
    if (bytes.size == 0 || bytes.data[0] != BR_HAS_LABEL)
        return rule->label.size == 0 || rule->skip_inbound ? BRUIT_DROP_NONE : BRUIT_DROP_LABEL_MISSING;
    br_reader_init(&r, bytes);
    (void)br_read_u8(&r);
    size_t label_size = br_read_u8(&r);
    if (r.failed) {
        *needed = HEADER_FIXED;
        return BRUIT_DROP_LABEL_MALFORMED;
    }
    if (label_size == 0)
        return BRUIT_DROP_LABEL_MALFORMED;
    struct bruit_bytes label = br_read_bytes(&r, label_size);
    if (r.failed) {
        *needed = HEADER_FIXED + label_size;
        return BRUIT_DROP_LABEL_MALFORMED;
    }
    *size = HEADER_FIXED + label_size;
    return judge(rule, label);
}

/* A label arrived. Behind a front that strips them, one that comes through is wrong whatever it says. */
static enum bruit_drop judge(const struct br_label_rule *rule, struct bruit_bytes label)
{
    if (rule->label.size == 0 || rule->skip_inbound)
        return BRUIT_DROP_LABEL_UNEXPECTED;
    return br_bytes_equal(rule->label, label) ? BRUIT_DROP_NONE : BRUIT_DROP_LABEL_WRONG;
}
