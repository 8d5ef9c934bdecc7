// What is bounded: sessions, file descriptors, times and rates.
#define _GNU_SOURCE
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 12

static void leave_open(struct rig *rig, struct known *known, enum event_kind kind) {
  (void)rig, (void)known, (void)kind;
}

/** Two ports of one group, one of them moved to another while it has a session. */
static void story_groups(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct listen_options options = usual_port();
  int fds[4];
  rig_start(rig, MAX_PLACES);
  rig->decide = leave_open;
  options.rules.group = 9;
  options.rules.max_sessions = 2;
  const struct listening one = rig_open(rig, &options);
  const struct listening other = rig_open(rig, &options);
  for (int at = 0; at < 3; at++) fds[at] = connect_to(at == 1 ? other.port : one.port);
  for (int left = 200; rig->turned_away < 1; left--) {
    check(left > 0, "none was turned away");
    rig_run(rig, 5);
  }
  check(engine_sessions(rig->engine) == 2, "%u sessions", engine_sessions(rig->engine));
  options.rules.group = 10;
  check(engine_adjust(rig->engine, other.listener, &options.rules), "cannot adjust");
  fds[3] = connect_to(other.port);
  send_all(fds[3], "x", 1);
  rig_wait(rig, &rig->opened, 1); // its old session counts where it came in
  options.rules.group = 0;
  options.rules.max_sessions = 0;
  check(engine_adjust(rig->engine, other.listener, &options.rules), "cannot adjust");
  check(engine_pause(rig->engine, other.listener) && engine_adjust(rig->engine, other.listener, &options.rules), "cannot adjust");
  check(!engine_adjust(rig->engine, 77, &options.rules), "adjusted what is not there");
  check(engine_unlisten(rig->engine, other.listener), "no such port");
  for (int at = 0; at < 4; at++) close(fds[at]);
  rig_stop(rig);
  free(rig);
}

void story_limits(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  struct listen_options options = usual_port();
  int fds[CLIENTS];
  peer_start(&echo, ECHO, NULL);
  rig_start(rig, 8);
  rig_send_to(rig, "127.0.0.1", echo.port);
  options.rules.max_sessions = 5;
  uint16_t port = rig_listen(rig, &options);
  uint16_t other = rig_listen(rig, &options);
  for (int at = 0; at < CLIENTS; at++) {
    fds[at] = connect_to(at < CLIENTS / 2 ? port : other);
    send_all(fds[at], "hello", 5);
  }
  rig_wait(rig, &rig->opened, 8);
  for (int left = 200; rig->turned_away < 4; left--) {
    check(left > 0, "%f were turned away", rig->turned_away);
    rig_run(rig, 5);
  }
  check(engine_sessions(rig->engine) == 8 && rig->turned_away == 4, "%u sessions", engine_sessions(rig->engine));
  for (int at = 0; at < CLIENTS; at++) close(fds[at]);
  rig_wait(rig, &rig->over, 8);
  int fd = connect_to(port); // a released place is free at once
  send_all(fd, "hello", 5);
  rig_wait(rig, &rig->opened, 9);
  close(fd);
  rig_wait(rig, &rig->over, 9);
  peer_stop(&echo);
  rig_stop(rig);
  free(rig);
  story_groups();
}

void story_exhaustion(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  struct rlimit before;
  const struct listen_options options = usual_port();
  peer_start(&echo, ECHO, NULL);
  rig_start(rig, MAX_PLACES);
  rig_send_to(rig, "127.0.0.1", echo.port);
  uint16_t port = rig_listen(rig, &options);
  getrlimit(RLIMIT_NOFILE, &before);
  int fd = make_socket();
  const struct rlimit none = {.rlim_cur = (rlim_t)fd, .rlim_max = before.rlim_max};
  check(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
  connect_socket(fd, port);
  send_all(fd, "hello", 5);
  for (int left = 200; rig->failed_accepts < 2; left--) {
    check(left > 0, "no failure was told");
    rig_run(rig, 20);
  }
  check(rig->last_errno == EMFILE && rig->opened == 0, "errno %d", rig->last_errno);
  check(rig->failed_accepts < 10, "it tried %f times", rig->failed_accepts);
  setrlimit(RLIMIT_NOFILE, &before);
  rig_wait(rig, &rig->opened, 1);
  close(fd);
  rig_wait(rig, &rig->over, 1);
  peer_stop(&echo);
  rig_stop(rig);
  free(rig);
}

/** A queue that is full: the connect neither succeeds nor fails. */
static int full_queue(uint16_t *port, int fillers[3]) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const struct timeval soon = {.tv_usec = 1000};
  check(listen(fd, 0) == 0, "listen");
  *port = port_of(fd);
  for (int at = 0; at < 3; at++) {
    fillers[at] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fillers[at], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    struct sockaddr_storage to;
    socklen_t size = sizeof to;
    getsockname(fd, (struct sockaddr *)&to, &size);
    connect(fillers[at], (struct sockaddr *)&to, size);
  }
  return fd;
}

static void story_connect_time(struct rig *rig, uint16_t port) {
  uint16_t full;
  int fillers[3];
  int queue = full_queue(&full, fillers);
  rig_send_to(rig, "127.0.0.1", full);
  rig->to.connect_timeout_ms = 60;
  int fd = connect_to(port);
  send_all(fd, "x", 1);
  const int64_t before = now_ms();
  rig_wait(rig, &rig->failed, rig->failed + 1);
  check(known_by_port(rig, port_of(fd))->error == 0 && now_ms() - before >= 59, "after %ld ms", (long)(now_ms() - before));
  close(fd);
  rig->to.connect_timeout_ms = 10000;
  fd = connect_to(port); // this client goes away meanwhile
  send_all(fd, "x", 1);
  rig_wait(rig, &rig->opened, rig->opened + 1);
  uint16_t local = port_of(fd);
  reset(fd);
  rig_wait(rig, &rig->over, rig->over + 1);
  check(known_by_port(rig, local)->cause == CLIENT_RESET, "cause %d", known_by_port(rig, local)->cause);
  fd = connect_to(port); // and this one is killed
  send_all(fd, "x", 1);
  rig_wait(rig, &rig->opened, rig->opened + 1);
  struct known *known = known_by_port(rig, port_of(fd));
  check(engine_kill(rig->engine, known->id, DRAINED) == DONE, "no kill");
  rig_wait(rig, &rig->over, rig->over + 1);
  check(known->cause == DRAINED, "cause %d", known->cause);
  close(fd);
  fd = connect_to(port); // this one is ended gently, which is no different
  send_all(fd, "x", 1);
  rig_wait(rig, &rig->opened, rig->opened + 1);
  known = known_by_port(rig, port_of(fd));
  check(engine_drain(rig->engine, known->id) && engine_drain(rig->engine, known->id), "no drain");
  rig_wait(rig, &rig->over, rig->over + 1);
  check(known->cause == DRAINED, "cause %d", known->cause);
  close(fd);
  for (int at = 0; at < 3; at++) close(fillers[at]);
  close(queue);
}

void story_times(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer echo;
  struct counters counters;
  const struct listen_options options = usual_port();
  char answer[5];
  peer_start(&echo, ECHO, NULL);
  rig_start(rig, MAX_PLACES);
  uint16_t port = rig_listen(rig, &options);
  rig_send_to(rig, "127.0.0.1", echo.port);
  rig->to.idle_timeout_ms = 80;
  int fd = connect_to(port);
  for (int at = 0; at < 5; at++) { // activity keeps it alive
    send_all(fd, "hello", 5);
    if (at == 0) rig_wait(rig, &rig->connected, 1);
    read_exactly(fd, answer, 5);
    rig_run(rig, 40);
  }
  struct known *known = known_by_port(rig, port_of(fd));
  check(!known->is_over && engine_counters(rig->engine, known->id, &counters), "it did not live");
  check(counters.bytes_up == 25 && counters.bytes_down == 25 && counters.idle_ms < 10000, "%f bytes", counters.bytes_up);
  rig_wait(rig, &rig->over, 1);
  check(known->cause == IDLE_TIMEOUT && known->first_byte_ms >= 0, "cause %d", known->cause);
  close(fd);
  story_connect_time(rig, port);
  peer_stop(&echo);
  rig_stop(rig);
  free(rig);
}

struct download {
  uint16_t port;
  int64_t took_ms;
  struct sum got;
  pthread_t thread;
};

static void *download_thread(void *argument) {
  struct download *download = argument;
  int fd = connect_to(download->port);
  const int64_t before = now_ms();
  send_all(fd, "x", 1);
  check(read_all(fd, &download->got) == 0, "no clean end: %s", strerror(errno));
  download->took_ms = now_ms() - before;
  close(fd);
  return NULL;
}

static void limit_down(struct rig *rig, struct known *known, enum event_kind kind) {
  if (kind == EVENT_OPEN) check(engine_limit(rig->engine, known->id, 0, SOURCE_BYTES), "no limit");
  relay_all(rig, known, kind);
}

void story_rates(void) {
  struct rig *rig = malloc(sizeof *rig);
  struct peer source;
  struct download download;
  const struct listen_options options = usual_port();
  peer_start(&source, SOURCE, NULL);
  rig_start(rig, MAX_PLACES);
  rig->decide = limit_down;
  rig_send_to(rig, "127.0.0.1", source.port);
  download.port = rig_listen(rig, &options);
  pthread_create(&download.thread, NULL, download_thread, &download);
  rig_wait(rig, &rig->over, 1);
  pthread_join(download.thread, NULL);
  check(download.got.count == SOURCE_BYTES, "%lu bytes", (unsigned long)download.got.count);
  // A second's worth, of which a tenth is there at the start.
  check(download.took_ms > 800 && download.took_ms < 3000, "%ld ms", (long)download.took_ms);
  rig->decide = relay_all;
  pthread_create(&download.thread, NULL, download_thread, &download);
  rig_wait(rig, &rig->over, 2);
  pthread_join(download.thread, NULL);
  check(download.got.count == SOURCE_BYTES, "%lu bytes", (unsigned long)download.got.count);
  peer_stop(&source);
  rig_stop(rig);
  free(rig);
}
