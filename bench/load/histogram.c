#include "histogram.h"

/** Values below 64 have a bucket each; above, the six bits behind the leading one choose it. */
static unsigned bucket_of(uint64_t value) {
  if (value < SUB_BUCKETS) return (unsigned)value;
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - 6u;
  return (shift + 1) * SUB_BUCKETS + (unsigned)((value >> shift) - SUB_BUCKETS);
}

static int64_t middle_of(unsigned bucket) {
  if (bucket < SUB_BUCKETS) return bucket;
  unsigned shift = bucket / SUB_BUCKETS - 1;
  uint64_t low = (uint64_t)(SUB_BUCKETS + bucket % SUB_BUCKETS) << shift;
  return (int64_t)(low + ((1ull << shift) >> 1));
}

void histogram_add(struct histogram *histogram, int64_t value) {
  histogram->count++;
  histogram->buckets[bucket_of(value < 0 ? 0 : (uint64_t)value)]++;
}

int64_t histogram_quantile(const struct histogram *histogram, double quantile) {
  uint64_t wanted = (uint64_t)(quantile * (double)histogram->count);
  uint64_t seen = 0;
  for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    seen += histogram->buckets[bucket];
    if (seen > wanted || (seen == histogram->count && seen > 0)) return middle_of(bucket);
  }
  return 0;
}
