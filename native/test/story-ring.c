// Messages to and fro, in sessions that last: those which io_uring takes, and what makes it give them back.
#define _GNU_SOURCE
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/** More than the ring has buffers, so that some must wait for one. */
#define TALKERS 160
#define MESSAGES 60
#define LARGEST 40000

enum ending { HALF_CLOSE, RESET, KILL, LIMIT, LARGE, DRAIN, ENDINGS };

struct talker {
  uint16_t port;
  uint16_t local_port;
  unsigned seed;
  enum ending ending;
  uint64_t sent;
  _Atomic bool is_ready; // has said what it had to say
  _Atomic bool may_end;
  pthread_t thread;
};

/** Sends a message, in two pieces now and then, and reads it back. */
static void talk(struct talker *talker, int fd, size_t count) {
  uint8_t *message = malloc(2 * count);
  uint8_t *answer = message + count;
  for (size_t at = 0; at < count; at++) message[at] = (uint8_t)(rand_r(&talker->seed) >> 7);
  const size_t first = rand_r(&talker->seed) % 4 == 0 ? count / 2 : 0;
  send_all(fd, message, first);
  send_all(fd, message + first, count - first);
  read_exactly(fd, answer, count);
  check(memcmp(message, answer, count) == 0, "other bytes came");
  talker->sent += count;
  free(message);
}

static void say_all(struct talker *talker, int fd, unsigned messages) {
  for (unsigned said = 0; said < messages; said++) {
    const bool is_long = rand_r(&talker->seed) % 16 == 0;
    talk(talker, fd, 1 + (size_t)rand_r(&talker->seed) % (is_long ? LARGEST : 200));
  }
}

static void *talker_thread(void *argument) {
  struct talker *talker = argument;
  struct sum rest;
  int fd = connect_to(talker->port);
  talker->local_port = port_of(fd);
  say_all(talker, fd, scaled(MESSAGES));
  atomic_store(&talker->is_ready, true);
  while (!atomic_load(&talker->may_end)) sleep_ms(1);
  if (talker->ending == RESET) {
    reset(fd);
    return NULL;
  }
  if (talker->ending == LARGE) talk(talker, fd, 1000000);
  const bool is_cut = talker->ending == KILL || talker->ending == DRAIN;
  if (!is_cut) {
    say_all(talker, fd, scaled(MESSAGES) / 4);
    send_all(fd, "the end", 7);
    talker->sent += 7;
    shutdown(fd, SHUT_WR);
  }
  check(read_all(fd, &rest) == 0, "no clean end: %s", strerror(errno));
  check(rest.count == (is_cut ? 0 : 7), "%lu bytes came last", (unsigned long)rest.count);
  close(fd);
  return NULL;
}

static void let_end(struct rig *rig, struct talker *talker) {
  const struct known *known = known_by_port(rig, talker->local_port);
  if (talker->ending == KILL) check(engine_kill(rig->engine, known->id, DRAINED) == DONE, "cannot kill");
  if (talker->ending == DRAIN) check(engine_drain(rig->engine, known->id), "cannot drain");
  if (talker->ending == LIMIT) check(engine_limit(rig->engine, known->id, 4e6, 4e6), "cannot limit");
  atomic_store(&talker->may_end, true);
}

static void check_end(struct rig *rig, struct talker *talker) {
  static const enum cause causes[ENDINGS] = {CLIENT_CLOSED, CLIENT_RESET, DRAINED, CLIENT_CLOSED, CLIENT_CLOSED, DRAINED};
  const struct known *known = known_by_port(rig, talker->local_port);
  check(known->cause == (int)causes[talker->ending], "cause %d of ending %d", known->cause, talker->ending);
  check(known->bytes_up == (double)talker->sent, "%f bytes up", known->bytes_up);
  check(known->bytes_down == (double)talker->sent, "%f bytes down", known->bytes_down);
}

void story_messages(void) {
  const unsigned count = scaled(TALKERS);
  struct rig *rig = malloc(sizeof *rig);
  struct talker *talkers = calloc(count, sizeof *talkers);
  struct peer peer;
  const struct listen_options options = usual_port();
  peer_start(&peer, ECHO, NULL);
  rig_start(rig, MAX_PLACES);
  rig_send_to(rig, "127.0.0.1", peer.port);
  uint16_t port = rig_listen(rig, &options);
  for (unsigned at = 0; at < count; at++) {
    talkers[at].port = port;
    talkers[at].seed = at + 1;
    talkers[at].ending = (enum ending)(at % ENDINGS);
    check(pthread_create(&talkers[at].thread, NULL, talker_thread, &talkers[at]) == 0, "no thread");
  }
  for (unsigned at = 0; at < count; at++) {
    while (!atomic_load(&talkers[at].is_ready)) rig_run(rig, 1);
  }
  for (unsigned at = 0; at < count; at++) let_end(rig, &talkers[at]);
  rig_wait(rig, &rig->over, count);
  for (unsigned at = 0; at < count; at++) pthread_join(talkers[at].thread, NULL);
  for (unsigned at = 0; at < count; at++) check_end(rig, &talkers[at]);
  check(engine_sessions(rig->engine) == 0, "sessions are left");
  peer_stop(&peer);
  rig_stop(rig);
  free(talkers);
  free(rig);
}
