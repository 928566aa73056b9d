/*
 * Vivaldi: see vivaldi.h. Constants are Serf's (docs/wire/serf.md, 10.2); it says of them what the papers say: ce and
 * cc from Vivaldi's evaluation, gravity and adjustment from Ledlie, Gardner, Seltzer (2007) and Lee et al. (2010).
 */
#include "module/vivaldi.h"

#include "base/num.h"

#include <float.h>

#define ERROR_MAX 1.5
#define CE 0.25
#define CC 0.25
#define HEIGHT_MIN 10.0e-6
#define GRAVITY_RHO 150.0
#define ZERO_THRESHOLD 1.0e-6
#define RTT_MAX_NS (10 * (int64_t)BRUIT_SECOND)

/* ---- vectors ---- */

static double magnitude(const double *v)
{
    double sum = 0;
    for (int i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        sum += v[i] * v[i];
    return br_num_sqrt(sum);
}

/* Any direction: components uniform in [-0.5, 0.5), normalised; the first axis should they all be nearly 0. */
static void random_unit(double *out, struct br_rng *rng)
{
    for (int i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        out[i] = (double)(br_rng_u64(rng) >> 11) * 0x1.0p-53 - 0.5;
    double length = magnitude(out);
    for (int i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        out[i] = length > ZERO_THRESHOLD ? out[i] / length : (i == 0 ? 1.0 : 0.0);
}

/* The direction from `from` to `to`, and how far it is; 0 and any direction when they stand on the same spot. */
static double unit_between(double *out, const double *to, const double *from, struct br_rng *rng)
{
    for (int i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        out[i] = to[i] - from[i];
    double length = magnitude(out);
    if (length > ZERO_THRESHOLD) {
        for (int i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
            out[i] = out[i] * (1.0 / length);
        return length;
    }
    random_unit(out, rng);
    return 0;
}

/* ---- places ---- */

struct bruit_coordinate br_vivaldi_origin(void)
{
    return (struct bruit_coordinate){.error = ERROR_MAX, .height = HEIGHT_MIN};
}

void br_vivaldi_init(struct br_vivaldi *client)
{
    *client = (struct br_vivaldi){.place = br_vivaldi_origin()};
}

static bool is_finite(double x)
{
    return x >= -DBL_MAX && x <= DBL_MAX; /* false for NaN, too */
}

static bool is_valid(const struct bruit_coordinate *c)
{
    for (int i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        if (!is_finite(c->vec[i]))
            return false;
    return is_finite(c->error) && is_finite(c->adjustment) && is_finite(c->height);
}

static double raw_distance(const struct bruit_coordinate *a, const struct bruit_coordinate *b)
{
    double diff[BRUIT_COORD_DIMENSIONS];
    for (int i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        diff[i] = a->vec[i] - b->vec[i];
    return magnitude(diff) + a->height + b->height;
}

/* Section 10.5. A distance that no number of nanoseconds can hold is undefined in C: it counts as the longest. */
bruit_time bruit_coord_distance(const struct bruit_coordinate *a, const struct bruit_coordinate *b)
{
    double raw = raw_distance(a, b);
    double adjusted = raw + a->adjustment + b->adjustment;
    double seconds = adjusted > 0 ? adjusted : raw;
    double ns = seconds * 1.0e9;
    if (!(ns < 9.2e18))
        return INT64_MAX;
    return ns > 0 ? (bruit_time)ns : 0;
}

/* ---- one measurement ---- */

const char *br_vivaldi_text(enum br_vivaldi_refusal refusal)
{
    static const char *const texts[] = {
        "taken",
        "dimensions aren't compatible",
        "coordinate is invalid",
        "round trip time not in valid range, duration is not a positive value less than 10s",
    };
    return texts[refusal];
}

static enum br_vivaldi_refusal judge(const struct bruit_coordinate *other, uint32_t dimensions,
                                     int64_t rtt_ns)
{
    if (dimensions != BRUIT_COORD_DIMENSIONS)
        return BR_VIVALDI_DIMENSIONS;
    if (!is_valid(other))
        return BR_VIVALDI_INVALID;
    return rtt_ns < 0 || rtt_ns > RTT_MAX_NS ? BR_VIVALDI_RTT : BR_VIVALDI_TAKEN;
}

/* Moving median (10.3 step 3): of one itself, of two the larger, of three the middle. */
static double filtered(struct br_vivaldi_filter *f, double rtt)
{
    if (f->count == BR_VIVALDI_SAMPLES) {
        f->samples[0] = f->samples[1];
        f->samples[1] = f->samples[2];
        f->count--;
    }
    f->samples[f->count++] = rtt;
    double a = f->samples[0];
    double b = f->count > 1 ? f->samples[1] : a;
    double low = a < b ? a : b;
    double high = a < b ? b : a;
    if (f->count < BR_VIVALDI_SAMPLES)
        return high;
    double c = f->samples[2];
    return c < low ? low : (c > high ? high : c);
}

/* Section 10.4: along the line through both, and in height. */
static void apply_force(struct bruit_coordinate *place, double force, const struct bruit_coordinate *from,
                        struct br_rng *rng)
{
    double unit[BRUIT_COORD_DIMENSIONS];
    double length = unit_between(unit, place->vec, from->vec, rng);
    for (int i = 0; i < BRUIT_COORD_DIMENSIONS; i++)
        place->vec[i] = place->vec[i] + unit[i] * force;
    if (length <= ZERO_THRESHOLD)
        return;
    double height = (place->height + from->height) * force / length + place->height;
    place->height = height > HEIGHT_MIN ? height : HEIGHT_MIN;
}

/* Step 4: how wrong the estimate was decides how far to go, weighted by who is the surer of the two. */
static void spring(struct br_vivaldi *client, const struct bruit_coordinate *other, double rtt,
                   struct br_rng *rng)
{
    struct bruit_coordinate *place = &client->place;
    double distance = (double)bruit_coord_distance(place, other) / 1.0e9;
    if (rtt < ZERO_THRESHOLD)
        rtt = ZERO_THRESHOLD;
    double off = distance - rtt;
    double wrongness = (off < 0 ? -off : off) / rtt;
    double total = place->error + other->error;
    if (total < ZERO_THRESHOLD)
        total = ZERO_THRESHOLD;
    double weight = place->error / total;
    place->error = CE * weight * wrongness + place->error * (1.0 - CE * weight);
    if (place->error > ERROR_MAX)
        place->error = ERROR_MAX;
    apply_force(place, CC * weight * (rtt - distance), other, rng);
}

/* Step 5: half the mean of what the latest estimates were off by. */
static void adjust(struct br_vivaldi *client, const struct bruit_coordinate *other, double rtt)
{
    client->window[client->window_at] = rtt - raw_distance(&client->place, other);
    client->window_at = (client->window_at + 1) % BR_VIVALDI_WINDOW;
    double sum = 0;
    for (int i = 0; i < BR_VIVALDI_WINDOW; i++)
        sum += client->window[i];
    client->place.adjustment = sum / (2.0 * BR_VIVALDI_WINDOW);
}

/* Step 6: a pull to the origin, so that the whole space does not drift away. */
static void gravitate(struct br_vivaldi *client, struct br_rng *rng)
{
    struct bruit_coordinate origin = br_vivaldi_origin();
    double distance = (double)bruit_coord_distance(&origin, &client->place) / 1.0e9;
    double pull = distance / GRAVITY_RHO;
    apply_force(&client->place, -1.0 * (pull * pull), &origin, rng);
}

enum br_vivaldi_refusal br_vivaldi_update(struct br_vivaldi *client, struct br_vivaldi_filter *filter,
                                          const struct bruit_coordinate *other, uint32_t dimensions,
                                          int64_t rtt_ns, struct br_rng *rng)
{
    enum br_vivaldi_refusal refusal = judge(other, dimensions, rtt_ns);
    if (refusal != BR_VIVALDI_TAKEN)
        return refusal;
    double rtt = filtered(filter, (double)rtt_ns / 1.0e9);
    spring(client, other, rtt, rng);
    adjust(client, other, rtt);
    gravitate(client, rng);
    if (!is_valid(&client->place)) { /* step 7: the window stays */
        client->resets++;
        client->place = br_vivaldi_origin();
    }
    return BR_VIVALDI_TAKEN;
}
