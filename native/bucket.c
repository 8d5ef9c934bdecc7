// Rates that sessions share: they take from one bucket. Who finds too little is promised some, in the order in which they come.
// The same as src/stream/bucket.ts, for sessions that JavaScript does not see.
#define _GNU_SOURCE
#include "parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/** Who waits takes at least this much: less is not worth waking up for. */
#define MIN_PROMISE_BYTES 256
/** A promise is what comes in in this time … */
#define PROMISE_MS 25
/** … or in this time, when as much as comes in so long is promised already. */
#define SHORT_PROMISE_MS 5
#define CROWDED_MS 50
/** Looks again so soon whether the rate has changed meanwhile, and later the more there are who wait. */
#define MIN_LOOK_MS 100
#define MAX_LOOK_MS 1000
/** Places for buckets come by so many at first, then twice as many. */
#define FIRST_BUCKETS 64u
#define MAX_BUCKETS MAX_SLOTS

/** Turns that are passed over; those of more who go at once are taken as if they had stayed. */
#define FIRST_GAPS 16u
#define MAX_GAPS 1024u

/** A turn that nobody takes: when it begins, by what has come in, and how long it would have been. */
struct gap {
  double from;
  double bytes;
};

/** One direction. Lock. */
struct bucket_way {
  double rate; // bytes per second; infinity: no limit
  double burst;
  double served; // came in so far, or came back
  double taken;  // was taken or promised of it; never less than before, or a promise could not be kept
  double returned;
  struct gap *gaps; // in their order
  uint32_t gaps_count;
  uint32_t gaps_room;
  int64_t filled_ms;
  uint32_t waiting;
};

struct bucket {
  pthread_mutex_t lock; // the driver fills, the engine takes
  struct bucket_way ways[2];
  _Atomic bool limited[2];
  _Atomic uint32_t users; // its place, and sessions
};

/** Driver. */
struct buckets {
  struct bucket **places;
  uint32_t *spare; // places that are free
  uint32_t spares;
  uint32_t room;
};

static struct bucket *bucket_new(int64_t now_ms) {
  struct bucket *bucket = calloc(1, sizeof *bucket);
  if (bucket == NULL) return NULL;
  pthread_mutex_init(&bucket->lock, NULL);
  atomic_init(&bucket->users, 1);
  for (int at = UP; at <= DOWN; at++) {
    atomic_init(&bucket->limited[at], true);
    bucket->ways[at].filled_ms = now_ms;
  }
  return bucket;
}

void bucket_join(struct bucket *bucket) { atomic_fetch_add_explicit(&bucket->users, 1, memory_order_relaxed); }

void bucket_leave(struct bucket *bucket) {
  if (atomic_fetch_sub_explicit(&bucket->users, 1, memory_order_acq_rel) > 1) return;
  pthread_mutex_destroy(&bucket->lock);
  for (int at = UP; at <= DOWN; at++) free(bucket->ways[at].gaps);
  free(bucket);
}

bool bucket_limits(const struct bucket *bucket, enum direction direction) {
  return atomic_load_explicit(&bucket->limited[direction], memory_order_relaxed);
}

static void keep_within(struct bucket_way *way) {
  if (way->served > way->taken + way->burst) way->served = way->taken + way->burst;
}

static void pass_gaps(struct bucket_way *way) {
  uint32_t passed = 0;
  for (; passed < way->gaps_count && way->gaps[passed].from <= way->served; passed++) way->served += way->gaps[passed].bytes;
  if (passed == 0) return;
  way->gaps_count -= passed;
  memmove(way->gaps, way->gaps + passed, way->gaps_count * sizeof *way->gaps);
}

/** Without memory it is as if he had stayed. */
static void add_gap(struct bucket_way *way, struct gap gap) {
  if (way->gaps_count == way->gaps_room) {
    const uint32_t room = way->gaps_room == 0 ? FIRST_GAPS : way->gaps_room * 2;
    struct gap *gaps = room > MAX_GAPS ? NULL : realloc(way->gaps, room * sizeof *gaps);
    if (gaps == NULL) return;
    way->gaps = gaps;
    way->gaps_room = room;
  }
  uint32_t place = way->gaps_count++;
  for (; place > 0 && way->gaps[place - 1].from > gap.from; place--) way->gaps[place] = way->gaps[place - 1];
  way->gaps[place] = gap;
}

/** What has come in by now; the clock of a turn may be behind. */
static struct bucket_way *flow(struct bucket *bucket, enum direction direction, int64_t now_ms) {
  struct bucket_way *way = &bucket->ways[direction];
  if (now_ms <= way->filled_ms) return way;
  if (!isinf(way->rate)) way->served += way->rate * (double)(now_ms - way->filled_ms) / 1000;
  way->filled_ms = now_ms;
  pass_gaps(way);
  keep_within(way);
  return way;
}

static double promise_of(const struct bucket_way *way) {
  const double debt = way->taken - way->served;
  const double ms = debt * 1000 > way->rate * CROWDED_MS ? SHORT_PROMISE_MS : PROMISE_MS;
  const double bytes = floor(way->rate * ms / 1000);
  return bytes < MIN_PROMISE_BYTES ? MIN_PROMISE_BYTES : bytes;
}

size_t bucket_available(struct bucket *bucket, enum direction direction, size_t wanted, int64_t now_ms) {
  if (!bucket_limits(bucket, direction)) return wanted;
  pthread_mutex_lock(&bucket->lock);
  const struct bucket_way *way = flow(bucket, direction, now_ms);
  const double tokens = way->served - way->taken;
  double enough = fmin(fmin((double)wanted, way->burst), promise_of(way));
  if (enough < 1) enough = 1;
  size_t available = 0;
  if (tokens >= enough) available = tokens < (double)wanted ? (size_t)tokens : wanted;
  pthread_mutex_unlock(&bucket->lock);
  return available;
}

void bucket_use(struct bucket *bucket, enum direction direction, double bytes) {
  if (!bucket_limits(bucket, direction)) return;
  pthread_mutex_lock(&bucket->lock);
  bucket->ways[direction].taken += bytes;
  pthread_mutex_unlock(&bucket->lock);
}

double bucket_promise_bytes(struct bucket *bucket, enum direction direction) {
  if (!bucket_limits(bucket, direction)) return INFINITY;
  pthread_mutex_lock(&bucket->lock);
  const double bytes = promise_of(&bucket->ways[direction]);
  pthread_mutex_unlock(&bucket->lock);
  return bytes;
}

double bucket_promise(struct bucket *bucket, enum direction direction, double bytes) {
  pthread_mutex_lock(&bucket->lock);
  struct bucket_way *way = &bucket->ways[direction];
  if (!isinf(way->rate)) way->taken += bytes;
  way->waiting++;
  const double due = way->taken;
  pthread_mutex_unlock(&bucket->lock);
  return due;
}

/**
 * His turn is passed over, when it comes: were others served sooner at once, whoever comes and goes again and again could let them
 * have more than there is.
 */
void bucket_settle(struct bucket *bucket, enum direction direction, double due, double unused) {
  pthread_mutex_lock(&bucket->lock);
  struct bucket_way *way = &bucket->ways[direction];
  way->waiting--;
  way->returned += unused;
  if (due - unused <= way->served) way->served += unused;
  else add_gap(way, (struct gap){.from = due - unused, .bytes = unused});
  pthread_mutex_unlock(&bucket->lock);
}

uint32_t bucket_wait_ms(struct bucket *bucket, enum direction direction, double due, int64_t now_ms) {
  if (!bucket_limits(bucket, direction)) return 0;
  pthread_mutex_lock(&bucket->lock);
  const struct bucket_way *way = flow(bucket, direction, now_ms);
  const double missing = due - way->served;
  double wait_ms = missing <= 0 ? 0 : fmax(ceil(missing * 1000 / way->rate), 1);
  const double look_ms = fmin(fmax(way->waiting, MIN_LOOK_MS), MAX_LOOK_MS);
  pthread_mutex_unlock(&bucket->lock);
  return (uint32_t)fmin(wait_ms, look_ms);
}

// What follows runs on the driver's thread.

struct bucket *bucket_at(struct engine *engine, double number) {
  const struct buckets *buckets = engine->buckets;
  // NaN is not in between either.
  if (engine->stopped || buckets == NULL || !(number >= 0 && number < buckets->room) || number != floor(number)) return NULL;
  return buckets->places[(uint32_t)number];
}

/** More places; false: no memory, or there are enough. */
static bool make_room(struct engine *engine) {
  if (engine->buckets == NULL) engine->buckets = calloc(1, sizeof *engine->buckets);
  struct buckets *buckets = engine->buckets;
  if (buckets == NULL || buckets->room >= MAX_BUCKETS) return false;
  const uint32_t room = buckets->room == 0 ? FIRST_BUCKETS : buckets->room * 2;
  struct bucket **places = realloc(buckets->places, room * sizeof *places);
  if (places != NULL) buckets->places = places;
  uint32_t *spare = realloc(buckets->spare, room * sizeof *spare);
  if (spare != NULL) buckets->spare = spare;
  if (places == NULL || spare == NULL) return false;
  for (uint32_t at = room; at-- > buckets->room;) {
    places[at] = NULL;
    spare[buckets->spares++] = at;
  }
  buckets->room = room;
  return true;
}

double engine_bucket(struct engine *engine) {
  struct buckets *buckets = engine->buckets;
  if (engine->stopped || ((buckets == NULL || buckets->spares == 0) && !make_room(engine))) return -1;
  struct bucket *bucket = bucket_new(clock_us() / 1000);
  if (bucket == NULL) return -1;
  buckets = engine->buckets;
  const uint32_t place = buckets->spare[--buckets->spares];
  buckets->places[place] = bucket;
  return place;
}

bool engine_drop(struct engine *engine, double number) {
  struct bucket *bucket = bucket_at(engine, number);
  if (bucket == NULL) return false;
  struct buckets *buckets = engine->buckets;
  buckets->places[(uint32_t)number] = NULL;
  buckets->spare[buckets->spares++] = (uint32_t)number;
  bucket_leave(bucket);
  return true;
}

bool engine_fill(struct engine *engine, double number, const struct inflow inflows[2]) {
  struct bucket *bucket = bucket_at(engine, number);
  if (bucket == NULL) return false;
  pthread_mutex_lock(&bucket->lock);
  for (int at = UP; at <= DOWN; at++) {
    struct bucket_way *way = flow(bucket, (enum direction)at, clock_us() / 1000);
    way->rate = inflows[at].rate;
    way->burst = inflows[at].burst;
    way->served = isinf(way->rate) ? way->taken : way->served + inflows[at].add;
    keep_within(way);
    atomic_store_explicit(&bucket->limited[at], !isinf(way->rate), memory_order_relaxed);
  }
  pthread_mutex_unlock(&bucket->lock);
  return true;
}

bool engine_levels(struct engine *engine, double number, struct level levels[2]) {
  struct bucket *bucket = bucket_at(engine, number);
  if (bucket == NULL) return false;
  pthread_mutex_lock(&bucket->lock);
  for (int at = UP; at <= DOWN; at++) {
    const struct bucket_way *way = flow(bucket, (enum direction)at, clock_us() / 1000);
    levels[at] = (struct level){
        .served = way->served, .taken = way->taken, .used = way->taken - way->returned, .waiting = way->waiting, .rate = way->rate};
  }
  pthread_mutex_unlock(&bucket->lock);
  return true;
}

bool engine_pay(struct engine *engine, double number, double bytes_up) {
  struct bucket *bucket = bucket_at(engine, number);
  if (bucket == NULL) return false;
  bucket_use(bucket, UP, bytes_up);
  return true;
}

void buckets_free(struct engine *engine) {
  struct buckets *buckets = engine->buckets;
  if (buckets == NULL) return;
  for (uint32_t at = 0; at < buckets->room; at++) {
    if (buckets->places[at] != NULL) bucket_leave(buckets->places[at]);
  }
  free(buckets->places);
  free(buckets->spare);
  free(buckets);
  engine->buckets = NULL;
}
