// The peer behind every contestant: one thread, one epoll. `server LIMIT_S role:port:opening ...`
//
// A client first sends `opening` bytes, whatever they are, and gets four bytes (an MQTT CONNACK) for them. Then, by role:
//   reply   nothing more; the client closes
//   echo    every byte comes back
//   sink    bytes are discarded without a copy
//   source  bytes come until the client closes
//   sum     bytes are counted and hashed (FNV-1a, 32 bits); at the client's end "<count> <hash>\n" is the answer
//   banner  speaks first, before the client has sent anything, then echoes
//   witness bytes are counted and hashed; how the client ended is put on record
//   early   ends its own direction with the four bytes, in one segment; then as witness
//   reset   at the next byte, the connection is reset
//
// No client is expected to send anything to the role
//   tell    gives the latest record, "<number> end|reset <count> <hash>\n", and closes
#define _GNU_SOURCE
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_PORTS 64
#define MAX_LIMIT_S 86400
#define MAX_OPENING 16384
#define SENDS_PER_WAKE 16 // then other connections have their turn
#define DISCARD (1 << 20)
#define FNV_BASIS 2166136261u
#define FNV_PRIME 16777619u

enum role { LISTENER, REPLY, ECHO, SINK, SOURCE, SUM, BANNER, WITNESS, EARLY, RESET, TELL };

static const char *const role_names[] = {"",       "reply",   "echo",  "sink",  "source", "sum",
                                         "banner", "witness", "early", "reset", "tell"};
static const char connack[4] = {0x20, 0x02, 0x00, 0x00};
static const char banner[] = "220 ready\r\n";

struct link {
  int fd;
  enum role role;
  enum role serves;    // of a listener: what its clients get
  uint32_t opening;    // bytes of it still to come; of a listener: all of them
  uint32_t events;     // as epoll knows them
  uint32_t hash;
  uint64_t count;
  bool ended;          // the client has
  char *unsent;        // of an echo whose client does not read
  size_t unsent_size;
  struct link *next_dead;
};

/** How a client of a witness ended, and with what. */
struct record {
  uint64_t number; // so that a new one can be told from an old one
  const char *how;
  uint64_t count;
  uint32_t hash;
};

static int epoll;
static struct record record = {.how = "nobody"};
static struct link *dead; // freed after the batch: a later event of the same batch may name one
static char buffer[CHUNK];
static char zeros[CHUNK];

static void want(struct link *link, uint32_t events) {
  if (link->events == events) return;
  struct epoll_event event = {.events = events, .data.ptr = link};
  if (epoll_ctl(epoll, link->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, link->fd, &event) != 0) fail("epoll: %m");
  link->events = events;
}

static void drop(struct link *link) {
  if (link->fd < 0) return;
  close(link->fd);
  link->fd = -1;
  free(link->unsent);
  link->next_dead = dead;
  dead = link;
}

static void put_on_record(const struct link *link, const char *how) {
  if (link->role != WITNESS && link->role != EARLY) return;
  record = (struct record){record.number + 1, how, link->count, link->hash};
}

/** Ends our direction once the client has ended its own and has everything. */
static void finish(struct link *link) {
  put_on_record(link, "end");
  if (link->role == SUM) {
    char answer[64];
    int size = snprintf(answer, sizeof answer, "%llu %08x\n", (unsigned long long)link->count, link->hash);
    send(link->fd, answer, (size_t)size, MSG_NOSIGNAL);
  }
  drop(link);
}

static void send_back(struct link *link, const char *bytes, size_t size) {
  ssize_t sent = send(link->fd, bytes, size, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) {
    drop(link);
    return;
  }
  size_t left = size - (size_t)(sent < 0 ? 0 : sent);
  if (left == 0) return;
  link->unsent = malloc(left);
  if (link->unsent == NULL) fail("no memory");
  memcpy(link->unsent, bytes + size - left, left);
  link->unsent_size = left;
  want(link, EPOLLOUT);
}

static void flush(struct link *link) {
  ssize_t sent = send(link->fd, link->unsent, link->unsent_size, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN) drop(link);
    return;
  }
  link->unsent_size -= (size_t)sent;
  memmove(link->unsent, link->unsent + sent, link->unsent_size);
  if (link->unsent_size > 0) return;
  free(link->unsent);
  link->unsent = NULL;
  if (link->ended) finish(link);
  else want(link, EPOLLIN);
}

static void pour(struct link *link) {
  for (int turn = 0; turn < SENDS_PER_WAKE; turn++) {
    if (send(link->fd, zeros, sizeof zeros, MSG_NOSIGNAL) >= 0) continue;
    if (errno != EAGAIN) drop(link);
    return;
  }
}

static void add_up(struct link *link, const char *bytes, size_t size) {
  link->count += size;
  uint32_t hash = link->hash;
  for (size_t at = 0; at < size; at++) hash = (hash ^ (unsigned char)bytes[at]) * FNV_PRIME;
  link->hash = hash;
}

static void answer_and_end(struct link *link) {
  send(link->fd, connack, sizeof connack, MSG_NOSIGNAL | MSG_MORE); // waits for the FIN
  shutdown(link->fd, SHUT_WR);
}

static void take_opening(struct link *link, size_t size) {
  link->opening -= (uint32_t)size;
  if (link->opening > 0) return;
  if (link->role == EARLY) answer_and_end(link);
  else send_back(link, connack, sizeof connack);
  if (link->fd >= 0 && link->role == SOURCE) want(link, EPOLLIN | EPOLLOUT);
}

static void reset(struct link *link) {
  struct linger none = {.l_onoff = 1};
  setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  drop(link);
}

/** Bytes behind the opening. */
static void use(struct link *link, size_t size) {
  switch (link->role) {
    case ECHO:
    case BANNER:
      send_back(link, buffer, size);
      break;
    case SUM:
    case WITNESS:
    case EARLY:
      add_up(link, buffer, size);
      break;
    case RESET:
      reset(link);
      break;
    default:
      break;
  }
}

static void take_fault(struct link *link) {
  if (errno == EAGAIN) return;
  put_on_record(link, "reset");
  drop(link);
}

static void take(struct link *link) {
  bool discards = link->opening == 0 && link->role == SINK;
  size_t room = link->opening > 0 && link->opening < sizeof buffer ? link->opening : sizeof buffer;
  ssize_t size = discards ? recv(link->fd, NULL, DISCARD, MSG_TRUNC) : recv(link->fd, buffer, room, 0);
  if (size < 0) {
    take_fault(link);
  } else if (size == 0) {
    link->ended = true;
    if (link->unsent == NULL) finish(link);
  } else if (link->opening > 0) {
    take_opening(link, (size_t)size);
  } else {
    use(link, (size_t)size);
  }
}

static void tell(struct link *link) {
  char line[96];
  int size = snprintf(line, sizeof line, "%llu %s %llu %08x\n", (unsigned long long)record.number, record.how,
                      (unsigned long long)record.count, record.hash);
  send(link->fd, line, (size_t)size, MSG_NOSIGNAL);
  drop(link);
}

static struct link *new_link(int fd, enum role role, enum role serves, uint32_t opening) {
  struct link *link = calloc(1, sizeof *link);
  if (link == NULL) fail("no memory");
  link->fd = fd;
  link->role = role;
  link->serves = serves;
  link->opening = opening;
  link->hash = FNV_BASIS;
  want(link, EPOLLIN);
  return link;
}

static void accept_all(struct link *listener) {
  for (int turn = 0; turn < MAX_EVENTS; turn++) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    struct link *link = new_link(fd, listener->serves, listener->serves, listener->opening);
    if (link->role == BANNER) send_back(link, banner, sizeof banner - 1);
    else if (link->role == TELL) tell(link);
  }
}

static void wake(struct link *link, uint32_t events) {
  if (link->fd < 0) return;
  if (link->role == LISTENER) {
    accept_all(link);
    return;
  }
  if ((events & EPOLLOUT) != 0) {
    if (link->unsent != NULL) flush(link);
    else if (link->role == SOURCE) pour(link);
  }
  if (link->fd < 0) return;
  if (link->unsent != NULL && (events & (EPOLLHUP | EPOLLERR)) != 0) drop(link); // nobody is there to get it
  else if (link->unsent == NULL && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) take(link);
}

static void open_port(const char *spec) {
  char name[16];
  int port;
  unsigned opening;
  if (sscanf(spec, "%15[a-z]:%d:%u", name, &port, &opening) != 3 || opening > MAX_OPENING) fail("no port: %s", spec);
  for (enum role role = REPLY; role <= TELL; role++) {
    if (strcmp(name, role_names[role]) != 0) continue;
    new_link(listen_on(port), LISTENER, role, opening);
    return;
  }
  fail("no role: %s", name);
}

int main(int count, char **arguments) {
  if (count < 3 || count > MAX_PORTS + 2) fail("usage: server LIMIT_S role:port:opening ...");
  end_for_certain((unsigned)number_of(arguments[1], MAX_LIMIT_S));
  raise_file_limit();
  epoll = epoll_create1(EPOLL_CLOEXEC);
  for (int at = 2; at < count; at++) open_port(arguments[at]);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[MAX_EVENTS];
    int got = epoll_wait(epoll, events, MAX_EVENTS, -1);
    if (got < 0 && errno != EINTR) fail("epoll_wait: %m");
    for (int at = 0; at < got; at++) wake(events[at].data.ptr, events[at].events);
    while (dead != NULL) {
      struct link *next = dead->next_dead;
      free(dead);
      dead = next;
    }
  }
}
