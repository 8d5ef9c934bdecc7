// Peers and clients, with blocking sockets: nothing in common with what they test.
#define _GNU_SOURCE
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536
#define PATIENCE_S 60

struct sum sum_empty(void) { return (struct sum){.hash = 14695981039346656037ull}; }

/** FNV-1a by words where there are some: hashing must not be what takes the time. */
void sum_add(struct sum *sum, const uint8_t *bytes, size_t count) {
  for (size_t at = 0; at < count; at++) sum->hash = (sum->hash ^ bytes[at]) * 1099511628211ull;
  sum->count += count;
}

void sleep_ms(int ms) {
  const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000l};
  nanosleep(&time, NULL);
}

static void be_patient(int fd) {
  const struct timeval time = {.tv_sec = PATIENCE_S};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

int make_socket(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(fd >= 0, "socket: %s", strerror(errno));
  be_patient(fd);
  return fd;
}

void connect_socket(int fd, uint16_t port) {
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  check(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0, "connect: %s", strerror(errno));
}

int connect_to(uint16_t port) {
  int fd = make_socket();
  connect_socket(fd, port);
  return fd;
}

int connect_path(const char *path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path, path, sizeof to.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  be_patient(fd);
  check(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0, "connect: %s", strerror(errno));
  return fd;
}

uint16_t port_of(int fd) {
  struct sockaddr_in name = {.sin_port = 0};
  socklen_t size = sizeof name;
  getsockname(fd, (struct sockaddr *)&name, &size);
  return ntohs(name.sin_port);
}

bool send_all(int fd, const void *bytes, size_t count) {
  const uint8_t *from = bytes;
  while (count > 0) {
    ssize_t sent = send(fd, from, count, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    from += sent;
    count -= (size_t)sent;
  }
  return true;
}

ssize_t read_all(int fd, struct sum *sum) {
  uint8_t *buffer = malloc(CHUNK);
  ssize_t count;
  *sum = sum_empty();
  while ((count = recv(fd, buffer, CHUNK, 0)) > 0) sum_add(sum, buffer, (size_t)count);
  free(buffer);
  return count;
}

void read_exactly(int fd, void *bytes, size_t count) {
  ssize_t got = recv(fd, bytes, count, MSG_WAITALL);
  check(got == (ssize_t)count, "%zd bytes instead of %zu: %s", got, count, strerror(errno));
}

void reset(int fd) {
  const struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

struct visit {
  struct peer *peer;
  int fd;
};

/** False when it ended by a reset. */
static bool echo(struct peer *peer, int fd) {
  uint8_t *buffer = malloc(CHUNK);
  ssize_t count = 0;
  bool sent = true;
  while (sent && (count = recv(fd, buffer, CHUNK, 0)) > 0) {
    atomic_fetch_add(&peer->received, (uint64_t)count);
    sent = send_all(fd, buffer, (size_t)count);
  }
  free(buffer);
  return sent && count == 0;
}

static bool sum_up(int fd) {
  struct sum sum;
  bool ended = read_all(fd, &sum) == 0;
  send_all(fd, &sum, sizeof sum);
  return ended;
}

static bool give(int fd) {
  uint8_t first;
  uint8_t *buffer = calloc(1, CHUNK);
  if (recv(fd, &first, 1, 0) == 1)
    for (size_t left = SOURCE_BYTES; left > 0; left -= CHUNK) send_all(fd, buffer, CHUNK);
  free(buffer);
  return true;
}

/** False when the client's end was a reset. */
static bool play(struct peer *peer, int fd) {
  uint8_t first;
  switch (peer->role) {
    case SUM:
      return sum_up(fd);
    case BANNER:
      send_all(fd, "220 hello\n", 10);
      return echo(peer, fd);
    case STALLER:
      sleep_ms(STALL_MS);
      return echo(peer, fd);
    case SOURCE:
      return give(fd);
    case HANG_UP:
      send_all(fd, "bye\n", 4);
      shutdown(fd, SHUT_WR);
      struct sum sum;
      return read_all(fd, &sum) == 0;
    case RESETTER:
      return recv(fd, &first, 1, MSG_PEEK) == 1;
    default:
      return echo(peer, fd);
  }
}

static void *visit_thread(void *argument) {
  struct visit visit = *(struct visit *)argument;
  free(argument);
  if (!play(visit.peer, visit.fd)) atomic_fetch_add(&visit.peer->resets, 1);
  if (visit.peer->role == RESETTER) reset(visit.fd);
  else close(visit.fd);
  atomic_fetch_sub(&visit.peer->connections, 1);
  return NULL;
}

static void *accept_thread(void *argument) {
  struct peer *peer = argument;
  for (;;) {
    int fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 && errno != EINVAL) {
      sleep_ms(1); // somebody uses up the file descriptors
      continue;
    }
    if (fd < 0) return NULL;
    be_patient(fd);
    pthread_t thread;
    struct visit *visit = malloc(sizeof *visit);
    *visit = (struct visit){.peer = peer, .fd = fd};
    atomic_fetch_add(&peer->connections, 1);
    check(pthread_create(&thread, NULL, visit_thread, visit) == 0, "no thread");
    pthread_detach(thread);
  }
}

void peer_start(struct peer *peer, enum role role, const char *path) {
  const struct sockaddr_in ip = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_un file = {.sun_family = AF_UNIX};
  *peer = (struct peer){.role = role};
  peer->fd = socket(path == NULL ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (path != NULL) strncpy(file.sun_path, path, sizeof file.sun_path - 1);
  int bound = path == NULL ? bind(peer->fd, (const struct sockaddr *)&ip, sizeof ip)
                           : bind(peer->fd, (const struct sockaddr *)&file, sizeof file);
  check(bound == 0 && listen(peer->fd, 1024) == 0, "peer: %s", strerror(errno));
  if (path == NULL) peer->port = port_of(peer->fd);
  check(pthread_create(&peer->thread, NULL, accept_thread, peer) == 0, "no thread");
}

void peer_stop(struct peer *peer) {
  shutdown(peer->fd, SHUT_RDWR);
  pthread_join(peer->thread, NULL);
  close(peer->fd);
  for (int left = PATIENCE_S * 100; atomic_load(&peer->connections) > 0; left--) {
    check(left > 0, "a connection of role %d does not end", peer->role);
    sleep_ms(10);
  }
}
