// First bytes: how many, when, and to whom; and sockets that leave the engine.
#define _GNU_SOURCE
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/** Decides nothing: the story does. */
static void keep(struct rig *rig, struct known *known, enum event_kind kind) {
  (void)rig;
  (void)known;
  (void)kind;
}

static uint32_t heads;
static void count_heads(struct rig *rig, struct known *known, enum event_kind kind) {
  (void)rig;
  (void)known;
  if (kind == EVENT_HEAD) heads++;
}

static struct known *open_with(struct rig *rig, uint16_t port, int *fd, const char *bytes) {
  *fd = connect_to(port);
  send_all(*fd, bytes, strlen(bytes));
  rig_wait(rig, &rig->opened, rig->opened + 1);
  return known_by_port(rig, port_of(*fd));
}

static void let_go(struct rig *rig, struct known *known, int fd) {
  check(engine_close(rig->engine, known->id, false) && engine_release(rig->engine, known->id), "cannot let go");
  known->is_released = true;
  if (fd >= 0) close(fd);
}

/** Byte by byte, and told once. */
static void story_trickle(struct rig *rig, uint16_t port) {
  int fd;
  struct known *known = open_with(rig, port, &fd, "a");
  check(known->head_bytes == 1 && known->head_flags == 0, "%u bytes, flags %u", known->head_bytes, known->head_flags);
  heads = 0;
  check(engine_more(rig->engine, known->id, 200, 20000) == DONE, "no more");
  check(engine_more(rig->engine, known->id, 200, 20000) == GONE, "lent twice");
  for (int at = 1; at < 200; at++) {
    send_all(fd, "b", 1);
    if (at % 16 == 0) rig_run(rig, 1);
  }
  rig_wait(rig, &heads, 1);
  check(heads == 1 && known->head_bytes == 200 && known->head[199] == 'b', "%u heads, %u bytes", heads, known->head_bytes);
  let_go(rig, known, fd);
}

static void story_head_ends(struct rig *rig, uint16_t port) {
  int fd;
  struct known *known = open_with(rig, port, &fd, "abc");
  heads = 0;
  check(engine_more(rig->engine, known->id, 10, 50) == DONE, "no more");
  rig_wait(rig, &heads, 1);
  check(known->head_flags == HEAD_TIMEOUT, "flags %u instead of a timeout", known->head_flags);
  check(engine_more(rig->engine, known->id, 10, 20000) == DONE, "no more");
  shutdown(fd, SHUT_WR);
  rig_wait(rig, &heads, 2);
  check(known->head_flags == HEAD_ENDED && known->head_bytes == 3, "flags %u", known->head_flags);
  check(engine_more(rig->engine, known->id, 10, 20000) == DONE, "no more");
  rig_wait(rig, &heads, 3); // at once, since nothing will come
  check(engine_more(rig->engine, known->id, 1, 20000) == DONE, "no more");
  rig_wait(rig, &heads, 4);
  let_go(rig, known, fd);
}

static void story_head_resets(struct rig *rig, uint16_t port) {
  int fd;
  struct known *known = open_with(rig, port, &fd, "abc");
  reset(fd);
  rig_wait(rig, &rig->broke, rig->broke + 1);
  let_go(rig, known, -1);
  known = open_with(rig, port, &fd, "abc");
  heads = 0;
  check(engine_more(rig->engine, known->id, 10, 20000) == DONE, "no more");
  rig_run(rig, 5);
  reset(fd);
  rig_wait(rig, &heads, 1);
  check(known->head_flags == HEAD_RESET, "flags %u instead of a reset", known->head_flags);
  let_go(rig, known, -1);
  known = open_with(rig, port, &fd, "abc");
  heads = 0;
  check(engine_more(rig->engine, known->id, 10, 20000) == DONE, "no more");
  check(engine_kill(rig->engine, known->id, KILLED) == DONE, "no kill");
  rig_wait(rig, &heads, 1);
  check(known->head_flags == HEAD_RESET, "flags %u after a kill", known->head_flags);
  let_go(rig, known, fd);
}

static void story_not_waiting(struct rig *rig) {
  struct listen_options options = usual_port();
  options.rules.waits = false;
  uint16_t port = rig_listen(rig, &options);
  int fd = connect_to(port);
  rig_wait(rig, &rig->opened, rig->opened + 1);
  struct known *known = known_by_port(rig, port_of(fd));
  check(known->head_bytes == 0 && known->head_flags == 0, "bytes of a client that said nothing");
  let_go(rig, known, fd);
  options.rules.waits = true;
  options.rules.first_byte_ms = 40;
  port = rig_listen(rig, &options);
  fd = connect_to(port);
  const int64_t before = now_ms();
  rig_wait(rig, &rig->opened, rig->opened + 1);
  known = known_by_port(rig, port_of(fd));
  check(known->head_flags == HEAD_TIMEOUT && now_ms() - before >= 39, "after %ld ms", (long)(now_ms() - before));
  let_go(rig, known, fd);
}

static void story_silent(struct rig *rig, uint16_t port) {
  int fds[5];
  for (int at = 0; at < 5; at++) fds[at] = connect_to(port);
  rig_run(rig, 30);
  const uint32_t before = rig->opened;
  size_t count;
  struct silent *all = engine_silent(rig->engine, &count);
  check(count == 5, "%zu are silent", count);
  for (int at = 0; at < 5; at++) {
    struct address_pair pair;
    silent_addresses(&all[at], &pair);
    check(strcmp(pair.remote, "127.0.0.1") == 0 && pair.local_port == port, "from %s to port %u", pair.remote, pair.local_port);
  }
  check(engine_open(rig->engine, all[2].session) && !engine_open(rig->engine, all[2].session), "cannot open one once");
  check(!engine_open(rig->engine, all[2].session + 0.5) && !engine_open(rig->engine, -1), "opened what is none");
  free(all);
  rig_wait(rig, &rig->opened, before + 1);
  engine_open_silent(rig->engine);
  rig_wait(rig, &rig->opened, before + 5);
  for (int at = 0; at < 5; at++) {
    struct known *known = known_by_port(rig, port_of(fds[at]));
    check(known->head_flags == HEAD_TIMEOUT, "flags %u", known->head_flags);
    let_go(rig, known, fds[at]);
  }
}

void story_heads(void) {
  struct rig *rig = malloc(sizeof *rig);
  const struct listen_options options = usual_port();
  rig_start(rig, MAX_PLACES);
  rig->decide = count_heads;
  uint16_t port = rig_listen(rig, &options);
  for (unsigned round = 0; round < scaled(5); round++) {
    story_trickle(rig, port);
    story_head_ends(rig, port);
    story_head_resets(rig, port);
    story_not_waiting(rig);
    story_silent(rig, port);
  }
  rig_stop(rig);
  free(rig);
}

/** The socket works without the engine, and nothing of the stream is lost. */
static void check_handed_over(struct rig *rig, struct known *known, int fd, const char *untold) {
  struct handed_over out;
  char text[8];
  check(engine_take_over(rig->engine, known->id, &out), "cannot take over");
  check(!engine_take_over(rig->engine, known->id, &out), "taken over twice");
  check(!engine_close(rig->engine, known->id, true), "closed what is not its own");
  check(out.bytes_count == strlen(untold) && (out.bytes_count == 0 || memcmp(out.bytes, untold, out.bytes_count) == 0),
        "%zu untold bytes", out.bytes_count);
  free(out.bytes);
  check(engine_release(rig->engine, known->id), "cannot release");
  known->is_released = true;
  send_all(fd, "ping", 4);
  while (recv(out.fd, text, 4, 0) < 0) sleep_ms(1); // it is a non-blocking one
  send_all(out.fd, "pong", 4);
  read_exactly(fd, text, 4);
  check(memcmp(text, "pong", 4) == 0, "no pong");
  close(out.fd);
  close(fd);
}

void story_hand_over(void) {
  struct rig *rig = malloc(sizeof *rig);
  const struct listen_options options = usual_port();
  rig_start(rig, MAX_PLACES);
  rig->decide = keep;
  uint16_t port = rig_listen(rig, &options);
  for (unsigned round = 0; round < scaled(20); round++) {
    int fd;
    struct known *known = open_with(rig, port, &fd, "abc");
    check_handed_over(rig, known, fd, "");
    known = open_with(rig, port, &fd, "abc");
    check(engine_more(rig->engine, known->id, 100, 20000) == DONE, "no more");
    send_all(fd, "def", 3);
    sleep_ms(20);
    check_handed_over(rig, known, fd, "def");
    known = open_with(rig, port, &fd, "abc"); // the answer is under way when it is taken over
    check(engine_more(rig->engine, known->id, 6, 20000) == DONE, "no more");
    send_all(fd, "def", 3);
    sleep_ms(20);
    check_handed_over(rig, known, fd, "def");
    rig_run(rig, 1);
  }
  check(engine_sessions(rig->engine) == 0, "sessions are left");
  rig_stop(rig);
  free(rig);
}
