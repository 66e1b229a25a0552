#include "core/threads.h"

#include "core/check.h"

#include <omp.h>
#include <stdio.h>

/* A container may own fewer cores than it sees: "<quota> <period>" or "max <period>" in
 * microseconds. */
static int cgroup_limit(void) {
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!f) return 0;
    long quota = 0, period = 0;
    int fields = fscanf(f, "%ld %ld", &quota, &period);
    fclose(f);
    if (fields != 2 || quota <= 0 || period <= 0) return 0;
    return (int)((quota + period - 1) / period);
}

int threads_set(int n) {
    CHECK(n >= 0, "%d threads", n);
    if (n == 0) {
        int limit = cgroup_limit();
        n = omp_get_num_procs();
        if (limit > 0 && limit < n) n = limit;
    }
    omp_set_dynamic(0); /* as many as asked for, always: partitions follow the count */
    omp_set_num_threads(n);
    return n;
}

int threads_count(void) {
    return omp_get_max_threads();
}
