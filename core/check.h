/* check: programmer errors. Active in every build; prints the place and the values, then aborts.
 * Never used for data that comes from outside: that is what Status is for. */
#ifndef HONE_CORE_CHECK_H
#define HONE_CORE_CHECK_H

_Noreturn void check_fail(const char *file, int line, const char *cond, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* CHECK(n == m, "rows %lld, expected %lld", n, m): the text is required and says the values. */
#define CHECK(cond, ...)                                                 \
    do {                                                                 \
        if (!(cond)) check_fail(__FILE__, __LINE__, #cond, __VA_ARGS__); \
    } while (0)

/* The end of every dispatch that must not fall through. */
#define FAIL(...) check_fail(__FILE__, __LINE__, "unreachable", __VA_ARGS__)

#endif
