// Rates that sessions share: together they move what one would, whoever comes, goes, or ends while he waits.
#define _GNU_SOURCE
#include "rig.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHARERS 8
/** Most of them leave early: so many bytes each, and then they reset. */
#define EARLY_BYTES 20000

struct sharer {
  uint16_t port;
  bool is_early;
  struct sum got;
  pthread_t thread;
};

static void *share_thread(void *argument) {
  struct sharer *sharer = argument;
  char early[EARLY_BYTES];
  int fd = connect_to(sharer->port);
  send_all(fd, "x", 1);
  if (sharer->is_early) read_exactly(fd, early, sizeof early);
  else check(read_all(fd, &sharer->got) == 0, "no clean end: %s", strerror(errno));
  close(fd);
  return NULL;
}

static double bucket_of(struct rig *rig, double rate) {
  const struct inflow inflows[2] = {{.rate = INFINITY, .burst = INFINITY}, {.rate = rate, .burst = rate / 10, .add = rate / 10}};
  const double bucket = engine_bucket(rig->engine);
  check(bucket >= 0 && engine_fill(rig->engine, bucket, inflows), "no bucket");
  return bucket;
}

/** The rig's decisions have no argument. */
static double shared_bucket;

static void share(struct rig *rig, struct known *known, enum event_kind kind) {
  if (kind == EVENT_OPEN) {
    check(engine_share(rig->engine, known->id, shared_bucket), "no share");
    check(engine_share(rig->engine, known->id, shared_bucket), "no second share of the same");
  }
  relay_all(rig, known, kind);
  if (kind == EVENT_OPEN) check(!engine_share(rig->engine, known->id, shared_bucket), "shared while it was relayed");
}

static void check_wrong_buckets(struct rig *rig) {
  struct level levels[2];
  const struct inflow inflows[2] = {{.rate = 1, .burst = 1}, {.rate = 1, .burst = 1}};
  const double wrong[] = {-1, 1e9, 0.5, NAN, shared_bucket + 1};
  for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
    check(!engine_fill(rig->engine, wrong[at], inflows), "fill of %f", wrong[at]);
    check(!engine_levels(rig->engine, wrong[at], levels), "levels of %f", wrong[at]);
    check(!engine_pay(rig->engine, wrong[at], 1), "pay to %f", wrong[at]);
    check(!engine_drop(rig->engine, wrong[at]), "drop of %f", wrong[at]);
  }
}

void story_shares(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer source;
  struct sharer sharers[SHARERS];
  struct level levels[2];
  const struct listen_options options = usual_port();
  peer_start(&source, SOURCE, NULL);
  rig_start(rig, MAX_PLACES);
  rig->decide = share;
  rig_send_to(rig, "127.0.0.1", source.port);
  const uint16_t port = rig_listen(rig, &options);
  const double rate = SOURCE_BYTES;
  shared_bucket = bucket_of(rig, rate);
  check_wrong_buckets(rig);
  const int64_t before = now_ms();
  for (int at = 0; at < SHARERS; at++) {
    sharers[at] = (struct sharer){.port = port, .is_early = at > 0};
    pthread_create(&sharers[at].thread, NULL, share_thread, &sharers[at]);
  }
  while (rig->over < SHARERS) { // the driver looks and fills while the engine takes
    rig_run(rig, 10);
    const double part = now_ms() % 2 == 0 ? 1 : 0.9;
    const struct inflow inflows[2] = {{.rate = INFINITY, .burst = INFINITY}, {.rate = rate * part, .burst = rate / 10}};
    check(engine_fill(rig->engine, shared_bucket, inflows) && engine_levels(rig->engine, shared_bucket, levels), "no fill");
    const double seconds = (double)(now_ms() - before) / 1000;
    check(levels[1].taken <= rate * seconds + rate / 10 + SHARERS * rate / 40, "%f bytes after %f s", levels[1].taken, seconds);
  }
  for (int at = 0; at < SHARERS; at++) pthread_join(sharers[at].thread, NULL);
  check(sharers[0].got.count == SOURCE_BYTES, "%lu bytes", (unsigned long)sharers[0].got.count);
  check(now_ms() - before > 800, "%ld ms", (long)(now_ms() - before));
  rig_run(rig, 50);
  check(engine_levels(rig->engine, shared_bucket, levels) && levels[1].waiting == 0, "somebody waits");
  check(engine_drop(rig->engine, shared_bucket) && !engine_drop(rig->engine, shared_bucket), "no drop");
  peer_stop(&source);
  rig_stop(rig);
  free(rig);
}
