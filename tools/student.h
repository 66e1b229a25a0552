/* student: mean and 95 % interval of a few runs. */
#ifndef HONE_TOOLS_STUDENT_H
#define HONE_TOOLS_STUDENT_H

typedef struct Interval {
    double mean, low, high; /* low = high = mean for one value; NaN for none */
    int n;
} Interval;

/* mean -/+ t s / sqrt(n), t the 0.975 quantile of Student's t with n - 1 degrees of freedom, s the
 * sample's standard deviation. NaNs among x are left out. */
Interval student_interval(const double *x, int n);

/* The 0.975 quantile; df >= 1. */
double student_t975(int df);

#endif
