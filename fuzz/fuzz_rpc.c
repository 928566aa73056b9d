/*
 * The decoder of RPC requests, and the patterns that filter members.
 *
 * The first byte says into pieces of how many bytes the rest is cut, as a connection would deliver it. What one split
 * yields, every other split must yield too: the requests are summed up and compared with those of the whole.
 */
#include "fuzz.h"

#include "base/pattern.h"
#include "agent/request.h"

#include <stdlib.h>

struct result {
    int step;     /* how it ended */
    uint64_t sum; /* over all requests */
    size_t count;
};

static void add(struct result *result, struct bruit_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        result->sum = (result->sum ^ bytes.data[i]) * UINT64_C(1099511628211);
    result->sum = (result->sum ^ bytes.size) * UINT64_C(1099511628211);
}

static void try_pattern(struct bruit_bytes text)
{
    struct br_pattern *pattern;
    struct br_alloc alloc;
    br_alloc_init(&alloc, NULL, 0);
    if (br_pattern_new(&pattern, &alloc, text) != 0)
        return;
    (void)br_pattern_matches(pattern, br_bytes_text("alive"));
    (void)br_pattern_matches(pattern, br_bytes_text("n\xc3\xa9\xff 1,2"));
    (void)br_pattern_matches(pattern, text);
    br_pattern_free(pattern);
}

static void look_at(struct br_rpc_request *request, struct result *result, bool is_first)
{
    struct bruit_bytes key, value;
    result->count++;
    result->sum += request->seq + request->command + request->stop + (uint64_t)request->version +
                   request->id + (uint64_t)request->timeout + request->relay_factor;
    result->sum += (uint64_t)request->prune << 1 ^ (uint64_t)request->replay << 2 ^
                   (uint64_t)request->coalesce << 3 ^ (uint64_t)request->ack << 4;
    add(result, request->auth_key);
    add(result, request->node);
    add(result, request->name);
    add(result, request->status);
    add(result, request->type);
    add(result, request->log_level);
    add(result, request->payload);
    add(result, request->key);
    add(result, request->body);
    while (br_rpc_next_text(&request->nodes, &key))
        add(result, key);
    while (br_rpc_next_text(&request->existing, &key))
        add(result, key);
    while (br_rpc_next_text(&request->delete_tags, &key))
        add(result, key);
    while (br_rpc_next_pair(&request->tags, &key, &value)) {
        add(result, key);
        add(result, value);
        if (is_first)
            try_pattern(value);
    }
    if (is_first) {
        try_pattern(request->name);
        try_pattern(request->status);
    }
}

/* As rpc.c does it: what came is kept until it was consumed, `piece` bytes more come each time. */
static struct result decode(const uint8_t *data, size_t size, size_t piece, bool is_first)
{
    struct br_rpc_decoder decoder;
    struct result result = {.step = BR_MP_MORE};
    size_t start = 0, end = 0;
    br_rpc_decoder_init(&decoder);
    decoder.is_open = true;
    while (end < size && result.step >= 0) {
        end = size - end < piece ? size : end + piece;
        do {
            struct br_rpc_request request;
            size_t consumed = 0, unread = end - start;
            /* A copy of its own, so that a sanitizer sees a read beyond what has come. */
            uint8_t *copy = malloc(unread + (unread == 0));
            for (size_t i = 0; i < unread; i++)
                copy[i] = data[start + i];
            result.step = br_rpc_decode(&decoder, br_bytes(copy, unread), &consumed, &request);
            if (consumed > unread)
                abort();
            if (result.step == 0)
                look_at(&request, &result, is_first);
            start += consumed;
            free(copy);
        } while (result.step == 0);
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 4096)
        return 0;
    struct result whole = decode(data + 1, size - 1, size, true);
    struct result pieces = decode(data + 1, size - 1, 1 + data[0] % 16, false);
    if (whole.count != pieces.count || whole.sum != pieces.sum || whole.step != pieces.step)
        abort();
    return 0;
}
