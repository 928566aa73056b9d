/*
 * How fast the simulator is: engines of this library, full view, default timers, compression off.
 *
 *     sim [CASE [SHARDS [NODES]]]      default: all cases, with as many shards as there are processors
 *
 * `large` is 10,000 nodes (or NODES) that all know each other for 60 s of their time; `thousand` 1,000 nodes
 * for 60 s on one core, and how many times faster than real time that is; `events` is how many engine events
 * a second one core does at 10 to 100 nodes (an event: one datagram or stream chunk delivered, or one
 * deadline served). Making and freeing a world is measured apart. Times are wall clock of this process;
 * memory is its largest resident set.
 */
#include <bruit/bruit.h>
#include <bruit/sim.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_gib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / (1 << 20);
}

struct result {
    double make;
    double run;
    double cpu; /* of run */
    double end;
    struct bruit_sim_stats stats;
    uint64_t hash;
};

static struct result measure(uint32_t nodes, uint32_t shards, bruit_time duration)
{
    struct result result;
    struct bruit_sim_config config;
    struct bruit_sim *sim = NULL;
    char why[200];
    bruit_sim_config_default(&config);
    config.nodes = nodes;
    config.shards = shards;
    double start = now_s();
    if (bruit_sim_new(&sim, &config, why, sizeof why) != 0 || bruit_sim_preload(sim) != 0) {
        fprintf(stderr, "sim: %s\n", sim == NULL ? why : "no memory");
        exit(1);
    }
    double made = now_s(), cpu = cpu_s();
    bruit_sim_run(sim, duration);
    double done = now_s();
    result.cpu = cpu_s() - cpu;
    bruit_sim_stats_get(sim, &result.stats);
    result.hash = bruit_sim_hash(sim);
    double looked = now_s();
    bruit_sim_free(sim);
    result.make = made - start;
    result.run = done - made;
    result.end = now_s() - looked;
    return result;
}

static void print(const char *name, uint32_t nodes, uint32_t shards, bruit_time duration,
                  const struct result *r)
{
    double seconds = (double)duration / 1e9;
    printf("%-9s %6u nodes %u shard%s %5.0f s: %7.3f s, CPU %.3f s (%.0f times real time), make %.2f s, "
           "free %.2f s, %.2f M events, %.2f M events/s of CPU, %.2f GiB, hash %016llx\n",
           name, (unsigned)nodes, (unsigned)shards, shards == 1 ? " " : "s", seconds, r->run, r->cpu,
           seconds / r->run, r->make, r->end, (double)r->stats.events / 1e6,
           (double)r->stats.events / 1e6 / r->cpu, resident_gib(), (unsigned long long)r->hash);
    fflush(stdout);
}

static void run(const char *name, uint32_t nodes, uint32_t shards, bruit_time duration)
{
    struct result result = measure(nodes, shards, duration);
    print(name, nodes, shards, duration, &result);
}

int main(int argc, char **argv)
{
    const char *wanted = argc > 1 ? argv[1] : "";
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t shards = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : (uint32_t)processors;
    uint32_t nodes = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 10000;
    if (*wanted == '\0' || strcmp(wanted, "events") == 0) {
        run("events", 10, 1, 20000 * BRUIT_SECOND);
        run("events", 30, 1, 6000 * BRUIT_SECOND);
        run("events", 100, 1, 2000 * BRUIT_SECOND);
    }
    if (*wanted == '\0' || strcmp(wanted, "thousand") == 0)
        run("thousand", 1000, 1, 60 * BRUIT_SECOND);
    if (*wanted == '\0' || strcmp(wanted, "large") == 0)
        run("large", nodes, shards, 60 * BRUIT_SECOND);
    return 0;
}
