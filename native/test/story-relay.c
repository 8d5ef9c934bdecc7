// Bytes: all of them, once, in order, whatever the pieces; and how relays end.
#define _GNU_SOURCE
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 40

struct upload {
  uint16_t port;
  size_t size;
  unsigned seed;
  bool is_slow;
  bool is_echo;
  struct sum sent;
  struct sum got;
  uint16_t local_port;
  pthread_t thread;
};

struct duplex {
  struct upload *upload;
  int fd;
};

/** Sends random bytes in random pieces, and ends its side. */
static void *write_side(void *argument) {
  const struct duplex *duplex = argument;
  struct upload *upload = duplex->upload;
  uint8_t *piece = malloc(100000);
  for (size_t left = upload->size; left > 0;) {
    size_t count = 1 + (size_t)rand_r(&upload->seed) % (rand_r(&upload->seed) % 4 == 0 ? 100000 : 300);
    if (count > left) count = left;
    for (size_t at = 0; at < count; at++) piece[at] = (uint8_t)(rand_r(&upload->seed) >> 7);
    sum_add(&upload->sent, piece, count);
    send_all(duplex->fd, piece, count);
    if (upload->is_slow && rand_r(&upload->seed) % 64 == 0) sleep_ms(1);
    left -= count;
  }
  shutdown(duplex->fd, SHUT_WR);
  free(piece);
  return NULL;
}

static void *upload_thread(void *argument) {
  struct upload *upload = argument;
  pthread_t writer;
  int fd = connect_to(upload->port);
  struct duplex duplex = {.upload = upload, .fd = fd};
  upload->local_port = port_of(fd);
  upload->sent = sum_empty();
  pthread_create(&writer, NULL, write_side, &duplex);
  if (upload->is_echo) check(read_all(fd, &upload->got) == 0, "no clean end: %s", strerror(errno));
  else read_exactly(fd, &upload->got, sizeof upload->got);
  pthread_join(writer, NULL);
  close(fd);
  return NULL;
}

static void upload_start(struct upload *upload, uint16_t port, size_t size, bool is_echo, unsigned seed) {
  *upload = (struct upload){.port = port, .size = size, .is_echo = is_echo, .is_slow = seed % 2 == 0, .seed = seed + 1};
  check(pthread_create(&upload->thread, NULL, upload_thread, upload) == 0, "no thread");
}

static void upload_check(struct rig *rig, struct upload *upload, uint32_t skipped) {
  pthread_join(upload->thread, NULL);
  check(upload->got.count == upload->sent.count - skipped, "%lu bytes came of %lu", (unsigned long)upload->got.count,
        (unsigned long)upload->sent.count);
  if (skipped == 0) check(upload->got.hash == upload->sent.hash, "other bytes came");
  struct known *known = known_by_port(rig, upload->local_port);
  check(known->cause == CLIENT_CLOSED, "cause %d", known->cause);
  check(known->bytes_up == (double)upload->sent.count - skipped, "%f bytes up", known->bytes_up);
}

static void run_uploads(enum role role, unsigned clients, size_t size, decision decide) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer peer;
  struct upload *uploads = calloc(clients, sizeof *uploads);
  const struct listen_options options = usual_port();
  peer_start(&peer, role, NULL);
  rig_start(rig, MAX_PLACES);
  rig->decide = decide;
  rig_send_to(rig, "127.0.0.1", peer.port);
  uint16_t port = rig_listen(rig, &options);
  for (unsigned at = 0; at < clients; at++) upload_start(&uploads[at], port, size + at * 991, role != SUM, at);
  rig_wait(rig, &rig->over, clients);
  for (unsigned at = 0; at < clients; at++) upload_check(rig, &uploads[at], 0);
  check(engine_sessions(rig->engine) == 0, "sessions are left");
  check(atomic_load(&peer.resets) == 0, "a peer saw a reset");
  peer_stop(&peer);
  rig_stop(rig);
  free(uploads);
  free(rig);
}

/** Asks for more a few times before it relays. */
static void ask_first(struct rig *rig, struct known *known, enum event_kind kind) {
  const uint32_t wanted = known->head_bytes < 6000 ? known->head_bytes + 1 + known->head_bytes / 3 : 0;
  if ((kind == EVENT_OPEN || kind == EVENT_HEAD) && wanted > 0 && !(known->head_flags & HEAD_ENDED)) {
    check(engine_more(rig->engine, known->id, wanted, 10000) == DONE, "no more");
    return;
  }
  relay_all(rig, known, kind == EVENT_HEAD ? EVENT_OPEN : kind);
}

void story_many(void) {
  run_uploads(ECHO, scaled(CLIENTS), 50000, relay_all);
  run_uploads(SUM, scaled(CLIENTS), 50000, ask_first);
}

void story_bulk(void) {
  run_uploads(ECHO, 2, scaled(24) * 1000000, relay_all);
  run_uploads(STALLER, 3, scaled(8) * 1000000, relay_all);
  run_uploads(SUM, 2, scaled(24) * 1000000, relay_all);
}

static void client_resets(struct rig *rig, uint16_t port, struct peer *peer) {
  const int before = atomic_load(&peer->resets);
  int fd = connect_to(port);
  uint8_t answer[5];
  send_all(fd, "hello", 5);
  rig_wait(rig, &rig->connected, rig->connected + 1);
  read_exactly(fd, answer, 5);
  send_all(fd, "x", 1);
  uint16_t local = port_of(fd);
  reset(fd);
  rig_wait(rig, &rig->over, rig->over + 1);
  check(known_by_port(rig, local)->cause == CLIENT_RESET, "cause %d", known_by_port(rig, local)->cause);
  for (int left = 1000; atomic_load(&peer->resets) == before; left--) {
    check(left > 0, "the peer saw no reset");
    sleep_ms(5);
  }
}

static void peer_resets(struct rig *rig, uint16_t port) {
  struct sum sum;
  int fd = connect_to(port);
  send_all(fd, "hello", 5);
  uint16_t local = port_of(fd);
  rig_wait(rig, &rig->over, rig->over + 1);
  check(read_all(fd, &sum) < 0 && errno == ECONNRESET, "no reset came: %s", strerror(errno));
  check(known_by_port(rig, local)->cause == PEER_RESET, "cause %d", known_by_port(rig, local)->cause);
  close(fd);
}

/** The peer ends first, and the client goes on sending. */
static void peer_hangs_up(struct rig *rig, uint16_t port) {
  const size_t size = 500000;
  uint8_t *bytes = calloc(1, size);
  uint8_t answer[4];
  struct sum sum;
  int fd = connect_to(port);
  send_all(fd, "a", 1);
  rig_wait(rig, &rig->connected, rig->connected + 1);
  read_exactly(fd, answer, 4);
  check(read_all(fd, &sum) == 0 && sum.count == 0, "no end came");
  uint16_t local = port_of(fd);
  send_all(fd, bytes, size);
  close(fd);
  rig_wait(rig, &rig->over, rig->over + 1);
  struct known *known = known_by_port(rig, local);
  check(known->cause == PEER_CLOSED && known->bytes_up == (double)size + 1, "cause %d, %f bytes", known->cause, known->bytes_up);
  free(bytes);
}

void story_resets(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  struct peer resetter;
  struct peer hang_up;
  const struct listen_options options = usual_port();
  peer_start(&echo, ECHO, NULL);
  peer_start(&resetter, RESETTER, NULL);
  peer_start(&hang_up, HANG_UP, NULL);
  rig_start(rig, MAX_PLACES);
  uint16_t port = rig_listen(rig, &options);
  for (unsigned round = 0; round < scaled(20); round++) {
    rig_send_to(rig, "127.0.0.1", echo.port);
    int fd = connect_to(port);
    close(fd);
    rig_wait(rig, &rig->over, rig->over + 1); // nothing but an end
    client_resets(rig, port, &echo);
    rig_send_to(rig, "127.0.0.1", resetter.port);
    peer_resets(rig, port);
    rig_send_to(rig, "127.0.0.1", hang_up.port);
    peer_hangs_up(rig, port);
  }
  peer_stop(&resetter);
  peer_stop(&hang_up);
  peer_stop(&echo);
  rig_stop(rig);
  free(rig);
}
