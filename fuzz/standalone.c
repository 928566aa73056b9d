/*
 * Runs a fuzz target over files instead of under libFuzzer.
 *
 * Every build but the fuzz preset links the targets with this main, so that compilers without libFuzzer
 * (gcc) replay the corpora as tests, and a finding can be looked at under any debugger. Arguments are files,
 * or directories whose files are taken in the order of their names. Finding no file at all is a failure: a
 * corpus that went missing must not pass for one that was run.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Larger than anything a target reads; a corpus file beyond it is a mistake of ours. */
#define FILE_SIZE_MAX (16u << 20)

static size_t run_path(const char *path);

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++)
        count += run_path(argv[i]);
    printf("%zu inputs\n", count);
    if (count == 0)
        fprintf(stderr, "no corpus file found: give files or directories\n");
    return count == 0;
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(FILE_SIZE_MAX);
    if (file == NULL || data == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, FILE_SIZE_MAX, file);
    fclose(file);
    /* Exactly as large as the input, so that a sanitizer sees a read past its end. */
    uint8_t *exact = malloc(size + (size == 0));
    if (exact == NULL)
        exit(1);
    memcpy(exact, data, size);
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static size_t run_directory(const char *path)
{
    struct dirent **entries;
    int entry_count = scandir(path, &entries, NULL, alphasort);
    size_t run_count = 0;
    for (int i = 0; i < entry_count; i++) {
        char child[4096];
        int length = snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && length > 0 && (size_t)length < sizeof child)
            run_count += run_path(child);
        free(entries[i]);
    }
    if (entry_count >= 0)
        free(entries);
    return run_count;
}

static size_t run_path(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        perror(path);
        return 0;
    }
    if (S_ISDIR(status.st_mode))
        return run_directory(path);
    run_file(path);
    return 1;
}
