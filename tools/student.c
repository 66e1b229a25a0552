#include "tools/student.h"

#include "core/check.h"

#include <math.h>

#define TABLE_LAST 10

double student_t975(int df) {
    static const double table[TABLE_LAST + 1] = {
        0,           12.70620474, 4.302652730, 3.182446305, 2.776445105, 2.570581836,
        2.446911851, 2.364624252, 2.306004135, 2.262157163, 2.228138852,
    };
    CHECK(df >= 1, "df %d", df);
    if (df <= TABLE_LAST) return table[df];
    /* Abramowitz and Stegun 26.7.5: an expansion around the normal quantile, good to 5 digits here.
     */
    double z = 1.959963984540054, z2 = z * z, n = df;
    double g1 = z * (z2 + 1) / 4;
    double g2 = z * ((5 * z2 + 16) * z2 + 3) / 96;
    double g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
    double g4 = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
    return z + (g1 + (g2 + (g3 + g4 / n) / n) / n) / n;
}

Interval student_interval(const double *x, int n) {
    Interval r = {.mean = NAN, .low = NAN, .high = NAN};
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(x[i])) continue;
        sum += x[i];
        r.n++;
    }
    if (r.n == 0) return r;
    r.mean = r.low = r.high = sum / r.n;
    if (r.n == 1) return r;
    for (int i = 0; i < n; i++)
        if (!isnan(x[i])) squares += (x[i] - r.mean) * (x[i] - r.mean);
    double half = student_t975(r.n - 1) * sqrt(squares / (r.n - 1) / r.n);
    r.low = r.mean - half;
    r.high = r.mean + half;
    return r;
}
