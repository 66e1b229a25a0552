#include "core/io/yaml.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 512 /* longest number, in characters */

/* strtod and printf take the decimal point from the locale: step into "C" and back. */
static locale_t enter_c_locale(locale_t *c) {
    *c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return uselocale(*c);
}

static void leave_c_locale(locale_t before, locale_t c) {
    uselocale(before);
    freelocale(c);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Copies digits with `_` between them; returns how many digits, or -1 for a misplaced `_`. */
static int copy_digits(const char **from, char **to) {
    int n = 0;
    const char *s = *from;
    while (is_digit(*s) || *s == '_') {
        if (*s == '_' && (n == 0 || !is_digit(s[1]) || s[-1] == '_')) return -1;
        if (*s != '_') {
            *(*to)++ = *s;
            n++;
        }
        s++;
    }
    *from = s;
    return n;
}

/* [+-] digits [. digits] [e [+-] digits], without the `_`, into buf; false when it is anything
 * else. */
static bool normalize(const char *text, char buf[NUMBER_MAX]) {
    if (strlen(text) >= NUMBER_MAX) return false;
    char *to = buf;
    if (*text == '+' || *text == '-') *to++ = *text++;
    const char *whole = to;
    int n_whole = copy_digits(&text, &to);
    if (n_whole < 0 || (n_whole > 1 && *whole == '0')) return false;
    int n_fraction = 0;
    if (*text == '.') {
        *to++ = *text++;
        n_fraction = copy_digits(&text, &to);
    }
    if (n_fraction < 0 || n_whole + n_fraction == 0) return false;
    if (*text == 'e' || *text == 'E') {
        *to++ = *text++;
        if (*text == '+' || *text == '-') *to++ = *text++;
        if (copy_digits(&text, &to) <= 0) return false;
    }
    *to = '\0';
    return *text == '\0';
}

bool yaml_to_number(const char *text, double *out) {
    char buf[NUMBER_MAX];
    if (!normalize(text, buf)) return false;
    locale_t c, before = enter_c_locale(&c);
    double x = strtod(buf, NULL);
    leave_c_locale(before, c);
    if (!isfinite(x)) return false;
    *out = x;
    return true;
}

static bool to_hex(const char *digits, int64_t *out) {
    uint64_t x = 0;
    size_t n = strlen(digits);
    if (n == 0 || n > 15 || strspn(digits, "0123456789abcdefABCDEF") != n) return false;
    for (; *digits; digits++) {
        int d = is_digit(*digits) ? *digits - '0' : (*digits | 0x20) - 'a' + 10;
        x = 16 * x + (uint64_t)d;
    }
    *out = (int64_t)x;
    return true;
}

bool yaml_to_integer(const char *text, int64_t *out) {
    char buf[NUMBER_MAX];
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) return to_hex(text + 2, out);
    if (!normalize(text, buf)) return false;
    const char *s = buf + (buf[0] == '-' || buf[0] == '+');
    if (s[strspn(s, "0123456789")] != '\0') { /* has a point or an exponent: exact up to 2^53 */
        double x = 0;
        if (!yaml_to_number(text, &x) || floor(x) != x || fabs(x) > 9007199254740992.0)
            return false;
        *out = (int64_t)x;
        return true;
    }
    uint64_t x = 0;
    for (; *s; s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (x > ((uint64_t)INT64_MAX - digit) / 10) return false;
        x = 10 * x + digit;
    }
    *out = buf[0] == '-' ? -(int64_t)x : (int64_t)x;
    return true;
}

bool yaml_to_bool(const char *text, bool *out) {
    static const char *const WORDS[] = {"true", "True", "TRUE", "false", "False", "FALSE"};
    for (int i = 0; i < 6; i++) {
        if (strcmp(text, WORDS[i]) != 0) continue;
        *out = i < 3;
        return true;
    }
    return false;
}

/* "1e-05" -> "1e-5", "1e+06" -> "1e6" */
static void tidy_exponent(char *text) {
    char *e = strchr(text, 'e');
    if (!e) return;
    char *from = e + 1, *to = e + 1;
    if (*from == '-') to++;
    if (*from == '-' || *from == '+') from++;
    while (*from == '0' && from[1]) from++;
    memmove(to, from, strlen(from) + 1);
}

void yaml_from_number(char buf[32], double x) {
    char text[32] = "";
    locale_t c, before = enter_c_locale(&c);
    if (floor(x) == x && fabs(x) < 1e15) {
        snprintf(text, sizeof text, "%.0f", x);
    } else {
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, x);
            if (strtod(text, NULL) == x) break;
        }
        tidy_exponent(text);
    }
    leave_c_locale(before, c);
    memcpy(buf, text, sizeof text);
}
