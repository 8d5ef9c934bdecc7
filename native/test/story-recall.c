// Relays that are taken back at a moment of rest, and all that may cross it.
#define _GNU_SOURCE
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TALKERS 48
#define MESSAGES 120
#define LARGEST 3000

/** What becomes of a session whose recall was answered, or is about to be. */
enum fate { CARRY, KILL_ACROSS, DRAIN_ACROSS, KILL_LATE, DRAIN_LATE, LET_GO, FATES };

struct talker {
  uint16_t port;
  uint16_t local_port;
  unsigned seed;
  uint64_t sent;
  bool said_all;
  pthread_t thread;
};

/** A session that this program carries itself from then on. */
struct carried {
  uint16_t client_port;
  int client;
  int peer;
  double up;
  double down;
  pthread_t thread;
  struct carried *next;
};

static struct carried *all_carried;

static enum fate fate_of(const struct rig *rig, const struct known *known) { return (enum fate)((known - rig->known) % FATES); }

/** False when one side has ended. */
static bool pass(int from, int to, double *moved) {
  uint8_t bytes[4096];
  const ssize_t count = recv(from, bytes, sizeof bytes, 0);
  if (count <= 0) shutdown(to, SHUT_WR);
  if (count <= 0 || !send_all(to, bytes, (size_t)count)) return false;
  *moved += (double)count;
  return true;
}

static void *carry(void *argument) {
  struct carried *carried = argument;
  struct pollfd sides[] = {{.fd = carried->client, .events = POLLIN}, {.fd = carried->peer, .events = POLLIN}};
  while (sides[0].fd >= 0 || sides[1].fd >= 0) {
    check(poll(sides, 2, 60000) > 0, "nothing more comes");
    if (sides[0].revents != 0 && !pass(carried->client, carried->peer, &carried->up)) sides[0].fd = -1;
    if (sides[1].revents != 0 && !pass(carried->peer, carried->client, &carried->down)) sides[1].fd = -1;
  }
  close(carried->client);
  close(carried->peer);
  return NULL;
}

static void block(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  check(flags >= 0 && flags & O_NONBLOCK && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0, "no socket of the engine's");
}

static void finish(struct rig *rig, struct known *known) {
  check(engine_release(rig->engine, known->id), "cannot release");
  known->is_released = true;
  rig->over++;
}

static void take(struct rig *rig, struct known *known) {
  struct handed_over out;
  struct counters counters;
  struct carried *carried = calloc(1, sizeof *carried);
  check(engine_take_over(rig->engine, known->id, &out) && out.fd >= 0 && out.peer >= 0, "cannot take both");
  check(out.bytes == NULL && out.bytes_count == 0 && out.flags == 0, "there is more than sockets");
  check(!engine_take_over(rig->engine, known->id, &out), "taken twice");
  check(!engine_recall(rig->engine, known->id, 0) && !engine_drain(rig->engine, known->id), "still a relay");
  check(engine_kill(rig->engine, known->id, KILLED) == GONE, "still a relay");
  check(engine_counters(rig->engine, known->id, &counters) && counters.bytes_up == known->bytes_up, "the counts are gone");
  *carried = (struct carried){.client_port = known->client_port, .client = out.fd, .peer = out.peer, .next = all_carried};
  block(carried->client);
  block(carried->peer);
  all_carried = carried;
  check(pthread_create(&carried->thread, NULL, carry, carried) == 0, "no thread");
  finish(rig, known);
}

/** Ended after the answer was read, and before anybody has taken the sockets. */
static void end_late(struct rig *rig, struct known *known, enum cause cause) {
  struct handed_over out;
  if (cause == KILLED) check(engine_kill(rig->engine, known->id, KILLED) == DONE, "no kill");
  else check(engine_drain(rig->engine, known->id) && engine_drain(rig->engine, known->id), "no drain");
  check(!engine_take_over(rig->engine, known->id, &out), "taken over, although it is ended");
  known->error = (int)cause;
}

static void on_recalled(struct rig *rig, struct known *known) {
  const enum fate fate = fate_of(rig, known);
  check(known->error == 0, "given back, although it was ended before");
  if (fate == KILL_LATE) end_late(rig, known, KILLED);
  else if (fate == DRAIN_LATE) end_late(rig, known, DRAINED);
  else if (fate == LET_GO) finish(rig, known);
  else take(rig, known);
}

static void decide(struct rig *rig, struct known *known, enum event_kind kind) {
  if (kind == EVENT_RECALLED && known->is_given) on_recalled(rig, known);
  if (kind == EVENT_RECALLED) return;
  if (kind == EVENT_ENDED) {
    const bool by_client = known->cause == CLIENT_CLOSED || known->cause == CLIENT_RESET;
    check(known->cause == known->error || by_client, "cause %d instead of %d", known->cause, known->error);
  }
  relay_all(rig, known, kind);
}

static void recall_some(struct rig *rig, unsigned *seed) {
  for (size_t at = 0; at < rig->opened; at++) {
    struct known *known = &rig->known[at];
    const enum fate fate = fate_of(rig, known);
    if (known->is_released || known->error != 0 || rand_r(seed) % 2 == 0) continue;
    if (!engine_recall(rig->engine, known->id, (uint32_t)rand_r(seed) % 4)) continue;
    check(!engine_recall(rig->engine, known->id, 0), "recalled twice at once");
    if (rand_r(seed) % 4 != 0) continue;
    if (rand_r(seed) % 2 == 0) sleep_ms(1); // so that the answer is there, and nobody has read it
    if (fate == KILL_ACROSS) check(engine_kill(rig->engine, known->id, KILLED) == DONE, "no kill");
    if (fate == DRAIN_ACROSS) check(engine_drain(rig->engine, known->id), "no drain");
    if (fate == KILL_ACROSS) known->error = KILLED;
    if (fate == DRAIN_ACROSS) known->error = DRAINED;
  }
}

/** False when it was cut off. */
static bool say(struct talker *talker, int fd) {
  uint8_t message[LARGEST];
  uint8_t answer[LARGEST];
  const size_t count = 1 + (size_t)rand_r(&talker->seed) % LARGEST;
  for (size_t at = 0; at < count; at++) message[at] = (uint8_t)(rand_r(&talker->seed) >> 7);
  if (!send_all(fd, message, count)) return false;
  const ssize_t got = recv(fd, answer, count, MSG_WAITALL);
  talker->sent += count;
  check(got <= 0 || memcmp(message, answer, (size_t)got) == 0, "other bytes came");
  return got == (ssize_t)count;
}

static void *talk(void *argument) {
  struct talker *talker = argument;
  struct sum rest;
  unsigned left = scaled(MESSAGES);
  const int fd = connect_to(talker->port);
  talker->local_port = port_of(fd);
  while (left > 0 && say(talker, fd)) {
    left--;
    if (rand_r(&talker->seed) % 2 == 0) sleep_ms(rand_r(&talker->seed) % 6);
  }
  talker->said_all = left == 0;
  if (talker->said_all && talker->seed % 5 == 0) {
    reset(fd);
    return NULL;
  }
  shutdown(fd, SHUT_WR);
  const bool is_clean = read_all(fd, &rest) == 0 && rest.count == 0;
  talker->said_all = talker->said_all && is_clean;
  close(fd);
  return NULL;
}

/** All that were carried on have lost nothing; and not one of those was cut off. */
static void check_carried(struct rig *rig, const struct talker *talkers, unsigned count) {
  while (all_carried != NULL) {
    struct carried *carried = all_carried;
    const struct known *known = known_by_port(rig, carried->client_port);
    pthread_join(carried->thread, NULL);
    for (unsigned at = 0; at < count; at++) {
      if (talkers[at].local_port != carried->client_port) continue;
      check(talkers[at].said_all, "it was cut off");
      check(known->bytes_up + carried->up == (double)talkers[at].sent, "%f and %f bytes up", known->bytes_up, carried->up);
      check(known->bytes_down + carried->down == (double)talkers[at].sent, "%f and %f bytes down", known->bytes_down, carried->down);
    }
    all_carried = carried->next;
    free(carried);
  }
}

static void recall_talkers(struct rig *rig, uint16_t port, unsigned *seed) {
  const unsigned count = scaled(TALKERS);
  struct talker *talkers = calloc(count, sizeof *talkers);
  const uint32_t wanted = rig->over + count;
  for (unsigned at = 0; at < count; at++) {
    talkers[at] = (struct talker){.port = port, .seed = (unsigned)rand_r(seed)};
    check(pthread_create(&talkers[at].thread, NULL, talk, &talkers[at]) == 0, "no thread");
  }
  for (; rig->over < wanted; recall_some(rig, seed)) rig_run(rig, 2);
  for (unsigned at = 0; at < count; at++) pthread_join(talkers[at].thread, NULL);
  check_carried(rig, talkers, count);
  free(talkers);
}

/** A session that has moved a byte to and fro. */
static int speak(struct rig *rig, uint16_t port) {
  char byte;
  const int fd = connect_to(port);
  send_all(fd, "x", 1);
  rig_wait(rig, &rig->connected, rig->connected + 1);
  read_exactly(fd, &byte, 1);
  return fd;
}

/** A reset at the same time: it may be the look at the sockets that meets it. */
static void recall_reset(struct rig *rig, uint16_t port) {
  const uint32_t wanted = rig->over + 1;
  const int fd = speak(rig, port);
  reset(fd);
  engine_recall(rig->engine, rig->known[rig->opened - 1].id, 0);
  rig_wait(rig, &rig->over, wanted);
  check_carried(rig, NULL, 0);
}

static void keep(struct rig *rig, struct known *known, enum event_kind kind) {
  if (kind != EVENT_RECALLED) relay_all(rig, known, kind);
}

/** With sockets that were given back and that nobody has taken: some are known of, some not yet. */
static void stop_between(bool is_known) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  int clients[10];
  char byte;
  const struct listen_options options = usual_port();
  peer_start(&echo, ECHO, NULL);
  rig_start(rig, MAX_PLACES);
  rig->decide = keep;
  rig_send_to(rig, "127.0.0.1", echo.port);
  const uint16_t port = rig_listen(rig, &options);
  for (unsigned at = 0; at < 10; at++) clients[at] = speak(rig, port);
  for (unsigned at = 0; at < 10; at++) check(engine_recall(rig->engine, rig->known[at].id, 0), "no recall");
  if (is_known) rig_wait(rig, &rig->recalled, 10);
  else sleep_ms(30);
  rig_stop(rig);
  for (unsigned at = 0; at < 10; at++) {
    check(recv(clients[at], &byte, 1, 0) <= 0, "more bytes");
    close(clients[at]);
  }
  peer_stop(&echo);
  free(rig);
}

void story_recalls(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  unsigned seed = 11;
  const struct listen_options options = usual_port();
  peer_start(&echo, ECHO, NULL);
  rig_start(rig, MAX_PLACES);
  rig->decide = decide;
  rig_send_to(rig, "127.0.0.1", echo.port);
  const uint16_t port = rig_listen(rig, &options);
  for (unsigned round = 0; round < scaled(8); round++) recall_talkers(rig, port, &seed);
  for (unsigned round = 0; round < scaled(200); round++) recall_reset(rig, port);
  check(rig->recalled > 0, "none was at rest");
  check(engine_sessions(rig->engine) == 0, "sessions are left");
  peer_stop(&echo);
  rig_stop(rig);
  free(rig);
  stop_between(false);
  stop_between(true);
}
