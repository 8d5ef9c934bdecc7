// Ports: opened and closed for the driver, on its thread as far as the system is asked, on the engine's as far as it is told.
#define _GNU_SOURCE
#include "port.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** 0, or an errno. */
static int set_options(int fd, const struct listen_options *options, int family) {
  const int on = 1;
  const int ipv6_only = options->ipv6_only;
  if (family == AF_UNIX) return 0;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return errno;
  if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof on) != 0) return errno;
  // Accepted sockets inherit these, which saves a system call for each.
  if (options->no_delay && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) return errno;
  if (options->keep_alive_ms == 0) return 0;
  const int seconds = (int)(options->keep_alive_ms / 1000) + (options->keep_alive_ms % 1000 != 0);
  if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0) return errno;
  return setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds) == 0 ? 0 : errno;
}

/** Remembers the file, since somebody else may put another one there before we leave. */
static void note_path(struct port *port) {
  struct stat file;
  if (port->target.any.sa_family != AF_UNIX || stat(port->target.path.sun_path, &file) != 0) return;
  port->path_device = file.st_dev;
  port->path_inode = file.st_ino;
}

static void remove_path(const struct port *port) {
  struct stat file;
  const char *path = port->target.path.sun_path;
  if (port->target.any.sa_family != AF_UNIX || stat(path, &file) != 0) return;
  if (file.st_dev == port->path_device && file.st_ino == port->path_inode) unlink(path);
}

static int open_port(struct port *port, socklen_t size) {
  const int family = port->target.any.sa_family;
  port->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (port->fd < 0) return errno;
  int error = set_options(port->fd, &port->options, family);
  if (error != 0) return error;
  if (bind(port->fd, &port->target.any, size) != 0) return errno;
  if (listen(port->fd, port->options.backlog) != 0) return errno;
  note_path(port);
  socklen_t named = sizeof port->target;
  return getsockname(port->fd, &port->target.any, &named) == 0 ? 0 : errno;
}

struct addition {
  struct port *port;
  bool done;
};

static void add_port(struct engine *engine, void *argument) {
  struct addition *addition = argument;
  addition->done = loop_watch_port(&engine->loop, addition->port->fd, addition->port);
  if (!addition->done) return;
  addition->port->next = engine->ports;
  engine->ports = addition->port;
}

int engine_listen(struct engine *engine, const struct listen_options *options, uint32_t *listener, uint16_t *number) {
  if (engine->stopped) return ECANCELED;
  struct port *port = calloc(1, sizeof *port);
  if (port == NULL) return ENOMEM;
  port->fd = -1;
  port->options = *options;
  socklen_t size = options->host != NULL ? target_of_ip(&port->target, options->host, options->port)
                                         : target_of_path(&port->target, options->path);
  int error = size == 0 ? EINVAL : open_port(port, size);
  struct addition addition = {.port = port};
  if (error == 0) {
    port->number = ++engine->last_port;
    port->is_wildcard = target_is_wildcard(&port->target);
    ask(engine, add_port, &addition);
    if (!addition.done) error = ENOMEM;
  }
  if (error != 0) {
    if (port->fd >= 0) close(port->fd);
    free(port);
    return error;
  }
  *listener = port->number;
  *number = target_port(&port->target);
  return 0;
}

/** Events of this turn may still point to it, so it is freed at the end. */
static void free_later(struct engine *engine, struct port *port) {
  port->next = engine->dead_ports;
  engine->dead_ports = port;
}

void port_leave(struct engine *engine, struct port *port) {
  port->held--;
  if (port->is_closed && port->held == 0) free_later(engine, port);
}

void ports_free_dead(struct engine *engine) {
  while (engine->dead_ports != NULL) {
    struct port *port = engine->dead_ports;
    engine->dead_ports = port->next;
    free(port);
  }
}

static void close_port(struct engine *engine, void *argument) {
  struct port *port = argument;
  struct port **link = &engine->ports;
  while (*link != port) link = &(*link)->next;
  *link = port->next;
  port_stop(engine, port);
  port->is_closed = true;
  close(port->fd);
  remove_path(port);
  if (port->held == 0) free_later(engine, port);
}

bool engine_unlisten(struct engine *engine, double listener) {
  if (engine->stopped) return false;
  struct port *port = engine->ports;
  while (port != NULL && (double)port->number != listener) port = port->next;
  if (port == NULL) return false;
  ask(engine, close_port, port);
  return true;
}

void ports_close(struct engine *engine) {
  while (engine->ports != NULL) close_port(engine, engine->ports);
  ports_free_dead(engine);
}
