/* threads: the one pool of threads (OpenMP's). Work is cut by fixed partitions that do not depend
 * on the number of threads wherever a sum crosses the cut. */
#ifndef HONE_CORE_THREADS_H
#define HONE_CORE_THREADS_H

/* 0: all cores that the process may use. Returns what is set. */
int threads_set(int n);
int threads_count(void);

#endif
