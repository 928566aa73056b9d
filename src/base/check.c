/*
 * Where a failed assertion ends.
 */
#include "base/check.h"

#include <stdlib.h>

_Noreturn void br_check_failed(const char *file, int line, const char *expression)
{
    /* Kept where a debugger or a core dump shows them. */
    const char *volatile what = expression;
    const char *volatile where = file;
    volatile int which = line;
    (void)what;
    (void)where;
    (void)which;
    abort();
}
