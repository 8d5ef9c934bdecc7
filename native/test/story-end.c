// Ends that nobody asked for, and those that somebody did.
#define _GNU_SOURCE
#include "rig.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/** A port where nobody listens any more. */
static uint16_t unused_port(void) {
  struct peer peer;
  peer_start(&peer, ECHO, NULL);
  peer_stop(&peer);
  return peer.port;
}

static void refuse(struct rig *rig, struct known *known, enum event_kind kind) {
  if (kind == EVENT_FAILED && known->head_bytes < 100) {
    known->head_bytes = 100; // once
    struct relay_options to = rig->to;
    to.port = (int)rig->last_errno;
    check(engine_relay(rig->engine, known->id, &to) == DONE, "no second try");
    return;
  }
  relay_all(rig, known, kind);
}

void story_failures(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  const struct listen_options options = usual_port();
  char answer[5];
  peer_start(&echo, ECHO, NULL);
  rig_start(rig, MAX_PLACES);
  uint16_t port = rig_listen(rig, &options);
  rig->decide = refuse;
  rig->last_errno = echo.port; // where the second try goes
  rig_send_to(rig, "127.0.0.1", unused_port());
  for (unsigned round = 0; round < scaled(20); round++) {
    int fd = connect_to(port);
    send_all(fd, "first", 5);
    rig_wait(rig, &rig->failed, rig->failed + 1);
    check(known_by_port(rig, port_of(fd))->error == ECONNREFUSED, "errno %d", known_by_port(rig, port_of(fd))->error);
    read_exactly(fd, answer, 5);
    check(memcmp(answer, "first", 5) == 0, "the first bytes were lost");
    close(fd);
    rig_wait(rig, &rig->over, rig->over + 1);
  }
  peer_stop(&echo);
  rig_stop(rig);
  free(rig);
}

struct talker {
  uint16_t port;
  unsigned seed;
  _Atomic bool is_there;
  pthread_t thread;
};

/** Talks until it is cut off. */
static void *talk(void *argument) {
  struct talker *talker = argument;
  uint8_t bytes[2000] = {0};
  int fd = connect_to(talker->port);
  atomic_store(&talker->is_there, true);
  for (;;) {
    size_t count = 1 + (size_t)rand_r(&talker->seed) % sizeof bytes;
    if (send(fd, bytes, count, MSG_NOSIGNAL) <= 0 || recv(fd, bytes, count, MSG_WAITALL) <= 0) break;
  }
  close(fd);
  return NULL;
}

/** Kills what lives, in whatever state it is. */
static void kill_some(struct rig *rig, unsigned *seed) {
  for (size_t at = 0; at < rig->opened; at++) {
    struct known *known = &rig->known[at];
    if (known->is_released || rand_r(seed) % 8 != 0) continue;
    const int cause = KILLED + rand_r(seed) % 3;
    if (engine_kill(rig->engine, known->id, cause) == DONE && known->error == 0) known->error = cause;
  }
}

static void check_killed(struct rig *rig, struct known *known, enum event_kind kind) {
  if (kind == EVENT_ENDED) check(known->cause == known->error, "cause %d instead of %d", known->cause, known->error);
  relay_all(rig, known, kind);
}

void story_kills(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  const unsigned talkers = scaled(60);
  struct talker *all = calloc(talkers, sizeof *all);
  const struct listen_options options = usual_port();
  unsigned seed = 7;
  peer_start(&echo, ECHO, NULL);
  rig_start(rig, MAX_PLACES);
  rig->decide = check_killed;
  rig_send_to(rig, "127.0.0.1", echo.port);
  uint16_t port = rig_listen(rig, &options);
  for (unsigned round = 0; round < scaled(6); round++) {
    for (unsigned at = 0; at < talkers; at++) {
      all[at] = (struct talker){.port = port, .seed = at};
      check(pthread_create(&all[at].thread, NULL, talk, &all[at]) == 0, "no thread");
    }
    for (uint32_t wanted = (round + 1) * talkers; rig->over < wanted; kill_some(rig, &seed)) rig_run(rig, 2);
    for (unsigned at = 0; at < talkers; at++) pthread_join(all[at].thread, NULL);
  }
  check(engine_sessions(rig->engine) == 0, "sessions are left");
  peer_stop(&echo);
  rig_stop(rig);
  free(all);
  free(rig);
}

void story_families(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  struct listen_options options = usual_port();
  char answer[5];
  char in[64];
  char out[64];
  snprintf(in, sizeof in, "/tmp/carrier-in-%d", getpid());
  snprintf(out, sizeof out, "/tmp/carrier-out-%d", getpid());
  peer_start(&echo, ECHO, out);
  rig_start(rig, MAX_PLACES);
  rig_send_to(rig, out, -1);
  options.host = NULL;
  options.path = in;
  rig_listen(rig, &options);
  for (unsigned round = 0; round < scaled(20); round++) {
    int fd = connect_path(in);
    struct sum sum;
    send_all(fd, "hello", 5);
    rig_wait(rig, &rig->connected, rig->connected + 1);
    read_exactly(fd, answer, 5);
    shutdown(fd, SHUT_WR);
    check(read_all(fd, &sum) == 0 && sum.count == 0, "no end");
    close(fd);
    rig_wait(rig, &rig->over, rig->over + 1);
  }
  check(engine_unlisten(rig->engine, 1) && !engine_unlisten(rig->engine, 1), "unlisten");
  check(access(in, F_OK) != 0, "the path is still there");
  peer_stop(&echo);
  unlink(out);
  rig_stop(rig);
  free(rig);
}

static double any_number(unsigned *seed) {
  static const double odd[] = {-1, 0.5, 1e300, 4503599627370496.0, 1048576, 1048577, 0, 2097152};
  int pick = rand_r(seed) % 12;
  if (pick < 8) return odd[pick];
  if (pick == 8) return NAN;
  return (double)rand_r(seed) * (1 << (rand_r(seed) % 24));
}

/** Numbers that name nothing, next to a session that must not notice. */
void story_wrong_ids(void) {
  struct rig *rig = malloc(sizeof *rig);
  const struct listen_options options = usual_port();
  unsigned seed = 3;
  rig_start(rig, MAX_PLACES);
  rig_listen(rig, &options);
  for (unsigned at = 0; at < scaled(20000); at++) {
    struct handed_over out;
    struct counters counters;
    struct address_pair pair;
    const double id = any_number(&seed);
    rig->to.host = "127.0.0.1";
    check(engine_more(rig->engine, id, 1, 1) == GONE, "more of %f", id);
    check(engine_relay(rig->engine, id, &rig->to) == GONE, "relay of %f", id);
    check(!engine_take_over(rig->engine, id, &out), "take over of %f", id);
    check(!engine_close(rig->engine, id, true), "close of %f", id);
    check(engine_kill(rig->engine, id, 5) == GONE, "kill of %f", id);
    check(engine_kill(rig->engine, id, CAUSES) == MISUSED, "a cause that is none");
    check(!engine_drain(rig->engine, id), "drain of %f", id);
    check(!engine_recall(rig->engine, id, 0), "recall of %f", id);
    check(!engine_limit(rig->engine, id, 1, 1), "limit of %f", id);
    check(!engine_counters(rig->engine, id, &counters), "counters of %f", id);
    check(!engine_addresses(rig->engine, id, &pair), "addresses of %f", id);
    check(!engine_release(rig->engine, id), "release of %f", id);
    check(id == 1 || !engine_unlisten(rig->engine, id), "unlisten of %f", id);
    check(id == 1 || !engine_pause(rig->engine, id), "pause of %f", id);
    check(id == 1 || !engine_resume(rig->engine, id), "resume of %f", id);
  }
  rig_stop(rig);
  free(rig);
}

/** In the middle of everything. */
void story_stop(void) {
  for (unsigned round = 0; round < scaled(6); round++) {
    struct rig *rig = malloc(sizeof *rig);
    struct peer stall;
    struct talker all[20];
    const struct listen_options options = usual_port();
    peer_start(&stall, round % 2 == 0 ? STALLER : ECHO, NULL);
    rig_start(rig, 15);
    rig_send_to(rig, "127.0.0.1", stall.port);
    uint16_t port = rig_listen(rig, &options);
    for (unsigned at = 0; at < 20; at++) {
      all[at] = (struct talker){.port = port, .seed = at};
      check(pthread_create(&all[at].thread, NULL, talk, &all[at]) == 0, "no thread");
    }
    rig_run(rig, (int)round * 4);
    for (unsigned at = 0; at < 20; at++) {
      while (!atomic_load(&all[at].is_there)) sleep_ms(1);
    }
    sleep_ms(20);
    engine_stop(rig->engine);
    engine_stop(rig->engine);
    check(engine_more(rig->engine, 1048576, 1, 1) == GONE && !engine_release(rig->engine, 1048576), "alive after stop");
    rig_stop(rig);
    for (unsigned at = 0; at < 20; at++) pthread_join(all[at].thread, NULL);
    peer_stop(&stall);
    free(rig);
  }
}
