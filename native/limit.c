// How fast a session may be: a bucket of tokens per direction, filled as time goes by, and those that it shares with others.
#define _GNU_SOURCE
#include "parts.h"

#include <math.h>
#include <stdlib.h>

/** The bucket holds what may move in a tenth of a second, and at least this much. */
#define BURST_PARTS 10
#define MIN_BURST_BYTES 4096

/** A bucket that is shared, and what must have come into it before the session has what it was promised. */
struct source {
  struct bucket *bucket;
  double due[2]; // engine
};

struct limit {
  _Atomic double rates[2]; // bytes per second; 0: no limit
  double tokens[2];        // engine
  int64_t filled_ms[2];    // engine: 0: not yet
  double promised[2];      // engine: bytes, by each of the sources
  size_t allowed[2];       // engine: by the last answer
  struct source *sources;  // the driver adds some before the relay begins
  uint32_t count;          // of sources
};

struct limit *limit_new(void) { return calloc(1, sizeof(struct limit)); }

void limit_set(struct limit *limit, double up, double down) {
  atomic_store_explicit(&limit->rates[UP], up, memory_order_relaxed);
  atomic_store_explicit(&limit->rates[DOWN], down, memory_order_relaxed);
}

bool limit_share(struct limit *limit, struct bucket *bucket) {
  for (uint32_t at = 0; at < limit->count; at++) {
    if (limit->sources[at].bucket == bucket) return true;
  }
  struct source *sources = realloc(limit->sources, (limit->count + 1) * sizeof *sources);
  if (sources == NULL) return false;
  sources[limit->count++] = (struct source){.bucket = bucket};
  limit->sources = sources;
  bucket_join(bucket);
  return true;
}

/** Gives back what is left of a promise. */
static void settle(struct limit *limit, enum direction direction, double unused) {
  limit->promised[direction] = 0;
  for (uint32_t at = 0; at < limit->count; at++) {
    const struct source *source = &limit->sources[at];
    bucket_settle(source->bucket, direction, source->due[direction], unused);
  }
}

static bool is_promised(const struct limit *limit, enum direction direction) { return limit->promised[direction] > 0; }

void limit_free(struct limit *limit) {
  if (limit == NULL) return;
  for (int at = UP; at <= DOWN; at++) {
    if (is_promised(limit, (enum direction)at)) settle(limit, (enum direction)at, limit->promised[at]);
  }
  for (uint32_t at = 0; at < limit->count; at++) bucket_leave(limit->sources[at].bucket);
  free(limit->sources);
  free(limit);
}

static double rate_of(const struct limit *limit, enum direction direction) {
  return atomic_load_explicit(&limit->rates[direction], memory_order_relaxed);
}

bool limit_applies(const struct limit *limit, enum direction direction) {
  if (rate_of(limit, direction) > 0) return true;
  for (uint32_t at = 0; at < limit->count; at++) {
    if (bucket_limits(limit->sources[at].bucket, direction)) return true;
  }
  return false;
}

static double burst_of(double rate) {
  return rate / BURST_PARTS > MIN_BURST_BYTES ? rate / BURST_PARTS : MIN_BURST_BYTES;
}

/** By the session's own rate. */
static size_t own_allows(struct limit *limit, enum direction direction, int64_t now_ms) {
  const double rate = rate_of(limit, direction);
  const double burst = burst_of(rate);
  double *tokens = &limit->tokens[direction];
  if (rate <= 0) return BUFFER_BYTES;
  if (limit->filled_ms[direction] == 0) *tokens = burst;
  else *tokens += rate * (double)(now_ms - limit->filled_ms[direction]) / 1000;
  if (*tokens > burst) *tokens = burst;
  limit->filled_ms[direction] = now_ms;
  if (*tokens < 1) return 0;
  return *tokens > BUFFER_BYTES ? BUFFER_BYTES : (size_t)*tokens;
}

static uint32_t promise_wait_ms(const struct limit *limit, enum direction direction, int64_t now_ms) {
  uint32_t longest = 0;
  for (uint32_t at = 0; at < limit->count; at++) {
    const struct source *source = &limit->sources[at];
    const uint32_t wait_ms = bucket_wait_ms(source->bucket, direction, source->due[direction], now_ms);
    if (wait_ms > longest) longest = wait_ms;
  }
  return longest;
}

static void promise(struct limit *limit, enum direction direction) {
  double bytes = BUFFER_BYTES;
  for (uint32_t at = 0; at < limit->count; at++) {
    bytes = fmin(bytes, bucket_promise_bytes(limit->sources[at].bucket, direction));
  }
  for (uint32_t at = 0; at < limit->count; at++) {
    struct source *source = &limit->sources[at];
    source->due[direction] = bucket_promise(source->bucket, direction, bytes);
  }
  limit->promised[direction] = bytes;
}

/** By what it shares. 0: it was promised some. */
static size_t sources_allow(struct limit *limit, enum direction direction, int64_t now_ms, size_t wanted) {
  if (is_promised(limit, direction)) {
    if (promise_wait_ms(limit, direction, now_ms) > 0) return 0;
    return limit->promised[direction] < (double)wanted ? (size_t)limit->promised[direction] : wanted;
  }
  for (uint32_t at = 0; at < limit->count && wanted > 0; at++) {
    wanted = bucket_available(limit->sources[at].bucket, direction, wanted, now_ms);
  }
  if (wanted == 0) promise(limit, direction);
  return wanted;
}

size_t limit_allows(struct limit *limit, enum direction direction, int64_t now_ms) {
  size_t allowed = own_allows(limit, direction, now_ms);
  if (allowed > 0 && limit->count > 0) allowed = sources_allow(limit, direction, now_ms, allowed);
  limit->allowed[direction] = allowed;
  return allowed;
}

void limit_use(struct limit *limit, enum direction direction, size_t bytes) {
  if (rate_of(limit, direction) > 0) limit->tokens[direction] -= (double)bytes;
  if (!is_promised(limit, direction)) {
    for (uint32_t at = 0; bytes > 0 && at < limit->count; at++) bucket_use(limit->sources[at].bucket, direction, (double)bytes);
    return;
  }
  limit->promised[direction] -= (double)bytes;
  // There was no more to read: others may have the rest.
  const bool is_over = bytes == 0 || bytes < limit->allowed[direction] || limit->promised[direction] < 1;
  if (is_over) settle(limit, direction, limit->promised[direction]);
}

/** Until a quarter of the bucket is full, so that it is no read per byte; a second at most, since the rate may change. */
static uint32_t own_wait_ms(const struct limit *limit, enum direction direction) {
  const double rate = rate_of(limit, direction);
  if (rate <= 0) return 0;
  const double wanted = burst_of(rate) / 4 - limit->tokens[direction];
  const double wait_ms = wanted <= 0 ? 1 : wanted * 1000 / rate;
  return wait_ms > 1000 ? 1000 : (uint32_t)wait_ms + 1;
}

uint32_t limit_wait_ms(const struct limit *limit, enum direction direction, int64_t now_ms) {
  if (is_promised(limit, direction)) return promise_wait_ms(limit, direction, now_ms);
  return own_wait_ms(limit, direction);
}
