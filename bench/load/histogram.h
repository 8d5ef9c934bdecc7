// Latencies in buckets of about 1.5 % width: bounded memory, however many there are.
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define SUB_BUCKETS 64 // per power of two
#define HISTOGRAM_BUCKETS (64 * SUB_BUCKETS)

struct histogram {
  uint64_t count;
  uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, int64_t value);

/** The value below which the share `quantile` (0 to 1) of all values lies; 0 when there are none. */
int64_t histogram_quantile(const struct histogram *histogram, double quantile);

#endif
