/*
 * What this machine has for an experiment; see machine.h.
 */
#include "sim/machine.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROCESSORS_MAX 64

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The number in the first line that `format` reads; UINT64_MAX: there is none, such as "max". */
static uint64_t read_number(const char *path, const char *format)
{
    char line[128];
    unsigned long long number;
    uint64_t found = UINT64_MAX;
    FILE *file = fopen(path, "r");
    while (file != NULL && found == UINT64_MAX && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, format, &number) == 1)
            found = number;
    if (file != NULL)
        (void)fclose(file);
    return found;
}

/* What nobody uses, and what caches hold. Where Linux does not say, what nobody uses. */
static uint64_t available(void)
{
    uint64_t kib = read_number("/proc/meminfo", "MemAvailable: %llu kB");
    if (kib != UINT64_MAX)
        return kib * 1024;
    long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
}

static uint64_t address_space(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur : UINT64_MAX;
}

uint64_t br_machine_memory(void)
{
    uint64_t limit = least(address_space(), read_number("/sys/fs/cgroup/memory.max", "%llu"));
    uint64_t memory = least(available(), limit);
    return memory != UINT64_MAX ? memory / 10 * 9 : 0;
}

uint32_t br_machine_processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > PROCESSORS_MAX ? PROCESSORS_MAX : (uint32_t)count;
}
