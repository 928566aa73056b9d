/*
 * Assertions that stay on in release builds.
 *
 * They state what cannot happen whatever the network, the disk or the user says. What can happen is
 * returned, and what a peer did wrong is counted: neither belongs here.
 */
#ifndef BR_BASE_CHECK_H
#define BR_BASE_CHECK_H

/* Says where and stops the program. */
_Noreturn void br_check_failed(const char *file, int line, const char *expression);

#if defined(__GNUC__)
#define BR_LIKELY(x) __builtin_expect(!!(x), 1)
#define BR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define BR_LIKELY(x) (!!(x))
#define BR_UNLIKELY(x) (!!(x))
#endif

/* For conditions that cost a compare or two. */
#define BR_ASSERT(x) (BR_LIKELY(x) ? (void)0 : br_check_failed(__FILE__, __LINE__, #x))

/* For conditions that cost a walk; compiled but not evaluated unless BRUIT_SLOW_CHECKS is defined. */
#ifdef BRUIT_SLOW_CHECKS
#define BR_ASSERT_SLOW(x) BR_ASSERT(x)
#else
#define BR_ASSERT_SLOW(x) ((void)sizeof((x) ? 1 : 0))
#endif

#endif
