// Clients come in: accepted, counted, turned away.
#define _GNU_SOURCE
#include "port.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/** Accepted per turn; then the sessions that are there have their turn. */
#define ACCEPTS 64
/** Out of file descriptors, the next try is not worth making at once. */
#define PAUSE_MS 100

bool port_waits(const struct port *port) { return port->options.rules.waits; }
uint32_t port_number(const struct port *port) { return port->number; }
const char *port_path(const struct port *port) { return port->target.path.sun_path; }
uint16_t port_bound(const struct port *port) { return target_port(&port->target); }
uint32_t port_head_bytes(const struct port *port) { return port->options.rules.head_bytes; }
uint32_t port_first_byte_ms(const struct port *port) { return port->options.rules.first_byte_ms; }

static void note_trouble(struct engine *engine, struct port *port, int error) {
  pthread_mutex_lock(&engine->lock);
  if (error == 0) {
    port->turned_away++;
  } else {
    port->failed++;
    port->error = error;
  }
  if (!port->troubled) {
    port->troubled = true;
    port->next_troubled = engine->troubled;
    engine->troubled = port;
  }
  pthread_mutex_unlock(&engine->lock);
  engine->urgent = true;
}

bool port_trouble(struct engine *engine, double *event) {
  struct port *port = engine->troubled;
  if (port == NULL) return false;
  engine->troubled = port->next_troubled;
  port->troubled = false;
  const double values[EVENT_FIELDS] = {EVENT_TROUBLE, port->number, 0, port->turned_away, port->failed, port->error};
  memcpy(event, values, sizeof values);
  port->turned_away = port->failed = 0;
  port->error = 0;
  return true;
}

static void pause_port(struct engine *engine, struct port *port) {
  port->resume_ms = engine->now_ms + PAUSE_MS;
  port->next_paused = engine->paused;
  engine->paused = port;
}

int ports_timeout(const struct engine *engine) {
  int64_t soonest = -1;
  for (const struct port *port = engine->paused; port != NULL; port = port->next_paused) {
    int64_t left = port->resume_ms > engine->now_ms ? port->resume_ms - engine->now_ms : 0;
    if (soonest < 0 || left < soonest) soonest = left;
  }
  return (int)soonest;
}

void ports_resume(struct engine *engine) {
  struct port **link = &engine->paused;
  while (*link != NULL) {
    struct port *port = *link;
    if (port->resume_ms > engine->now_ms) {
      link = &port->next_paused;
      continue;
    }
    *link = port->next_paused;
    port->resume_ms = 0;
    port_watch(engine, port); // if that fails it is paused again, and not due
  }
}

void port_watch(struct engine *engine, struct port *port) {
  if (!loop_watch_port(&engine->loop, port->fd, port)) pause_port(engine, port);
}

static void open_session(struct engine *engine, struct port *port, int fd, const union target *remote) {
  uint32_t sessions = atomic_load_explicit(&engine->sessions, memory_order_relaxed);
  bool is_full = group_is_full(port) || sessions >= engine->options.max_sessions;
  struct session *session = is_full ? NULL : session_new(engine);
  if (session == NULL) {
    close(fd);
    note_trouble(engine, port, 0);
    return;
  }
  union target local = port->target;
  socklen_t size = sizeof local;
  if (port->is_wildcard) getsockname(fd, &local.any, &size);
  group_count(port, 1);
  session->port = port;
  session->client.fd = fd;
  session->ends = ends_of(remote, &local);
  session->began_us = clock_us();
  note_moved(session, engine->now_ms);
  head_begin(engine, session);
}

static bool is_exhaustion(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

void port_ready(struct engine *engine, struct port *port) {
  if (port->is_closed || port->is_paused || port->resume_ms != 0) return;
  for (int count = 0; count < ACCEPTS; count++) {
    union target remote = {.any.sa_family = AF_UNIX};
    socklen_t size = sizeof remote;
    int fd = accept4(port->fd, &remote.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      open_session(engine, port, fd, &remote);
      continue;
    }
    if (is_blocked(errno)) return;
    // What else there is belongs to a client that went away in the queue; the next one may be fine.
    if (!is_exhaustion(errno)) continue;
    note_trouble(engine, port, errno);
    loop_forget(&engine->loop, port->fd);
    pause_port(engine, port);
    return;
  }
}

static void unlink_paused(struct engine *engine, const struct port *port) {
  struct port **link = &engine->paused;
  while (*link != NULL && *link != port) link = &(*link)->next_paused;
  if (*link != NULL) *link = port->next_paused;
}

void port_rest(struct engine *engine, struct port *port) {
  unlink_paused(engine, port);
  port->resume_ms = 0;
  // A copy of the socket elsewhere would keep it registered, although ours is closed.
  loop_forget(&engine->loop, port->fd);
}

void port_stop(struct engine *engine, struct port *port) {
  port_rest(engine, port);
  pthread_mutex_lock(&engine->lock);
  struct port **link = &engine->troubled;
  while (*link != NULL && *link != port) link = &(*link)->next_troubled;
  if (*link != NULL) *link = port->next_troubled;
  pthread_mutex_unlock(&engine->lock);
}
