// Relays that are ended gently.
#define _GNU_SOURCE
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TALKERS 40
#define LARGEST 3000
#define UPLOAD (8 * 1024 * 1024)

struct talker {
  uint16_t port;
  uint16_t local_port;
  unsigned seed;
  uint64_t got;
  bool floods; // and reads nothing meanwhile
  bool is_deaf;
  _Atomic bool may_listen;
  bool was_clean;
  pthread_t thread;
};

/** Talks, or floods, until it is told that this is the end. */
static void *talk(void *argument) {
  struct talker *talker = argument;
  uint8_t *bytes = calloc(1, LARGEST);
  struct sum rest = sum_empty();
  ssize_t count = 1;
  const int small = 16 * 1024; // so that the source's bytes do not fit into the kernel's buffers
  int fd = make_socket();
  if (talker->is_deaf) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  connect_socket(fd, talker->port);
  talker->local_port = port_of(fd);
  for (size_t left = UPLOAD; talker->floods && left > 0; left -= 1024) {
    if (!send_all(fd, bytes, 1024)) break;
  }
  while (!talker->floods && !talker->is_deaf && count > 0) {
    const size_t size = 1 + (size_t)rand_r(&talker->seed) % LARGEST;
    send_all(fd, bytes, size);
    count = recv(fd, bytes, size, MSG_WAITALL);
    if (count > 0) talker->got += (uint64_t)count;
  }
  if (talker->is_deaf) send_all(fd, "x", 1);
  while (talker->is_deaf && !atomic_load(&talker->may_listen)) sleep_ms(1);
  if (talker->floods || talker->is_deaf) count = read_all(fd, &rest);
  talker->got += rest.count;
  talker->was_clean = count == 0;
  free(bytes);
  close(fd);
  return NULL;
}

static void start(struct talker *talker) {
  check(pthread_create(&talker->thread, NULL, talk, talker) == 0, "no thread");
}

/** In the middle of messages: those that were taken arrive, and both sides see a clean end. */
static void drain_messages(struct rig *rig, uint16_t port, struct peer *peer) {
  const unsigned count = scaled(TALKERS);
  struct talker *talkers = calloc(count, sizeof *talkers);
  const uint32_t first = rig->opened;
  const uint32_t over = rig->over + count;
  const uint64_t received = atomic_load(&peer->received);
  double up = 0;
  double down = 0;
  double got = 0;
  for (unsigned at = 0; at < count; at++) {
    talkers[at] = (struct talker){.port = port, .seed = at};
    start(&talkers[at]);
  }
  rig_wait(rig, &rig->connected, first + count);
  for (uint32_t at = first; at < rig->opened; at++) {
    rig_run(rig, 1);
    check(engine_drain(rig->engine, rig->known[at].id), "no drain");
    if (at % 8 == 0) check(engine_kill(rig->engine, rig->known[at].id, KILLED) == DONE, "no kill");
    check(engine_drain(rig->engine, rig->known[at].id) || at % 8 == 0, "no second drain");
  }
  rig_wait(rig, &rig->over, over);
  for (unsigned at = 0; at < count; at++) {
    pthread_join(talkers[at].thread, NULL);
    got += (double)talkers[at].got;
  }
  for (uint32_t at = first; at < rig->opened; at++) {
    check(rig->known[at].cause == DRAINED, "cause %d", rig->known[at].cause);
    up += rig->known[at].bytes_up;
    down += rig->known[at].bytes_down;
  }
  // Those that were killed besides may have lost some of theirs.
  check(up >= (double)(atomic_load(&peer->received) - received) && down >= got, "bytes came from nowhere");
  free(talkers);
}

/** The peer does not read for a while: what is in memory and in pipes waits for it. */
static void drain_stalled(struct rig *rig, uint16_t port, struct peer *peer) {
  const uint64_t received = atomic_load(&peer->received);
  const uint32_t over = rig->over + 1;
  struct talker talker = {.port = port, .floods = true};
  start(&talker);
  rig_wait(rig, &rig->connected, rig->opened + 1);
  rig_run(rig, STALL_MS / 3);
  struct known *known = &rig->known[rig->opened - 1];
  check(engine_drain(rig->engine, known->id), "no drain");
  rig_wait(rig, &rig->over, over);
  pthread_join(talker.thread, NULL);
  const uint64_t got = atomic_load(&peer->received) - received;
  check(known->cause == DRAINED && known->bytes_up == (double)got, "%f bytes were taken, %lu came", known->bytes_up, (unsigned long)got);
  check(got > 0 && got < UPLOAD, "%lu bytes came", (unsigned long)got);
}

/** A client that never reads is reset in the end: it must not believe that it got everything. */
static void drain_deaf(struct rig *rig, uint16_t port) {
  const uint32_t over = rig->over + 1;
  struct talker talker = {.port = port, .is_deaf = true};
  start(&talker);
  rig_wait(rig, &rig->connected, rig->opened + 1);
  rig_run(rig, 100);
  const int64_t before = now_ms();
  check(engine_drain(rig->engine, rig->known[rig->opened - 1].id), "no drain");
  rig_wait(rig, &rig->over, over);
  check(now_ms() - before > 900, "after %ld ms", (long)(now_ms() - before));
  check(rig->known[rig->opened - 1].cause == DRAINED, "cause %d", rig->known[rig->opened - 1].cause);
  atomic_store(&talker.may_listen, true);
  pthread_join(talker.thread, NULL);
  // All of it may be with the kernel already: then it arrives, and the end is a clean one.
  const struct known *known = &rig->known[rig->opened - 1];
  check(talker.was_clean == ((double)talker.got == known->bytes_down), "%lu of %f bytes came", (unsigned long)talker.got, known->bytes_down);
  check(talker.got < SOURCE_BYTES, "%lu bytes came", (unsigned long)talker.got);
}

void story_drains(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  struct peer staller;
  struct peer source;
  const struct listen_options options = usual_port();
  peer_start(&echo, ECHO, NULL);
  peer_start(&staller, STALLER, NULL);
  peer_start(&source, SOURCE, NULL);
  rig_start(rig, MAX_PLACES);
  uint16_t port = rig_listen(rig, &options);
  for (unsigned round = 0; round < scaled(4); round++) {
    rig_send_to(rig, "127.0.0.1", echo.port);
    drain_messages(rig, port, &echo);
    rig_send_to(rig, "127.0.0.1", staller.port);
    drain_stalled(rig, port, &staller);
  }
  rig_send_to(rig, "127.0.0.1", source.port);
  drain_deaf(rig, port);
  check(engine_sessions(rig->engine) == 0, "sessions are left");
  peer_stop(&source);
  peer_stop(&staller);
  peer_stop(&echo);
  rig_stop(rig);
  free(rig);
}
