/*
 * The label header, which keeps clusters apart that share a network (docs/wire/memberlist.md section 3.2).
 *
 *     f4  length:u8 (1..255)  label bytes  then the rest
 *
 * It stands before everything else in a datagram, and once at the start of a dialled stream. It is no secret;
 * sealed packets also carry it as additional authenticated data.
 */
#ifndef BR_CODEC_LABEL_H
#define BR_CODEC_LABEL_H

#include <bruit/error.h>
#include <bruit/stats.h>
#include <bruit/types.h>

/* What a member expects: its own label, or, behind a front that strips labels, no header at all. */
struct br_label_rule {
    struct bruit_bytes label; /* empty: none */
    bool skip_inbound;        /* memberlist's SkipInboundLabelCheck */
};

/* How many bytes the header of this label takes: 0 without one. */
size_t br_label_size(struct bruit_bytes label);

/* Writes the header, br_label_size() bytes; returns that. `label` has at most BRUIT_LABEL_MAX bytes. */
size_t br_label_write(uint8_t *out, struct bruit_bytes label);

/*
 * Judges the start of `bytes`. Returns BRUIT_DROP_NONE with the size of the header in *size (0: there is none
 * and none was expected), or why to drop. BRUIT_DROP_LABEL_MALFORMED with *needed not 0 means that the header
 * is cut short: on a stream, wait until that many bytes are there.
 */
enum bruit_drop br_label_check(const struct br_label_rule *rule, struct bruit_bytes bytes, size_t *size,
                               size_t *needed);

#endif
