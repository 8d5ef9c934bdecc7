// Rates: a bucket of tokens per direction, filled as time goes by.
#define _GNU_SOURCE
#include "parts.h"

#include <stdlib.h>

/** The bucket holds what may move in a tenth of a second, and at least this much. */
#define BURST_PARTS 10
#define MIN_BURST_BYTES 4096

struct limit {
  _Atomic double rates[2]; // bytes per second; 0: no limit
  double tokens[2];        // engine
  int64_t filled_ms[2];    // engine: 0: not yet
};

struct limit *limit_new(void) { return calloc(1, sizeof(struct limit)); }

void limit_set(struct limit *limit, double up, double down) {
  atomic_store_explicit(&limit->rates[UP], up, memory_order_relaxed);
  atomic_store_explicit(&limit->rates[DOWN], down, memory_order_relaxed);
}

static double rate_of(const struct limit *limit, enum direction direction) {
  return atomic_load_explicit(&limit->rates[direction], memory_order_relaxed);
}

bool limit_applies(const struct limit *limit, enum direction direction) { return rate_of(limit, direction) > 0; }

static double burst_of(double rate) {
  return rate / BURST_PARTS > MIN_BURST_BYTES ? rate / BURST_PARTS : MIN_BURST_BYTES;
}

size_t limit_allows(struct limit *limit, enum direction direction, int64_t now_ms) {
  const double rate = rate_of(limit, direction);
  const double burst = burst_of(rate);
  double *tokens = &limit->tokens[direction];
  if (limit->filled_ms[direction] == 0) *tokens = burst;
  else *tokens += rate * (double)(now_ms - limit->filled_ms[direction]) / 1000;
  if (*tokens > burst) *tokens = burst;
  limit->filled_ms[direction] = now_ms;
  if (*tokens < 1) return 0;
  return *tokens > BUFFER_BYTES ? BUFFER_BYTES : (size_t)*tokens;
}

void limit_use(struct limit *limit, enum direction direction, size_t bytes) {
  if (limit_applies(limit, direction)) limit->tokens[direction] -= (double)bytes;
}

/** Until a quarter of the bucket is full, so that it is no read per byte; a second at most, since the rate may change. */
uint32_t limit_wait_ms(const struct limit *limit, enum direction direction) {
  const double rate = rate_of(limit, direction);
  if (rate <= 0) return 0;
  const double wanted = burst_of(rate) / 4 - limit->tokens[direction];
  const double wait_ms = wanted <= 0 ? 1 : wanted * 1000 / rate;
  return wait_ms > 1000 ? 1000 : (uint32_t)wait_ms + 1;
}
