/*
 * Where a failed assertion ends: one line that says which, as the C library's assert writes it, and abort.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void br_check_failed(const char *file, int line, const char *expression)
{
    (void)fprintf(stderr, "bruit: %s:%d: cannot happen, yet it did: not %s\n", file, line, expression);
    abort();
}
