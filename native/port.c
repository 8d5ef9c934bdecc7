// Ports: opened and closed for the driver, on its thread as far as the system is asked, on the engine's as far as it is told.
#define _GNU_SOURCE
#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** What must be set before the address is taken: 0, or an errno. */
static int set_options(int fd, const struct listen_options *options, int family) {
  const int on = 1;
  const int ipv6_only = options->ipv6_only;
  if (family == AF_UNIX) return 0;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return errno;
  if (options->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return errno;
  if (family != AF_INET6) return 0;
  return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof on) == 0 ? 0 : errno;
}

int port_set_client_options(int fd, const struct port_rules *rules, int family) {
  const int no_delay = rules->no_delay;
  const int keep_alive = rules->keep_alive_ms > 0;
  if (family == AF_UNIX) return 0;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay) != 0) return errno;
  if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep_alive, sizeof keep_alive) != 0) return errno;
  if (!keep_alive) return 0;
  const int seconds = (int)(rules->keep_alive_ms / 1000) + (rules->keep_alive_ms % 1000 != 0);
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
  if (error == 0) error = port_set_client_options(port->fd, &port->options.rules, family);
  if (error != 0) return error;
  if (bind(port->fd, &port->target.any, size) != 0) return errno;
  if (port->options.backlog > 0 && listen(port->fd, port->options.backlog) != 0) return errno;
  note_path(port);
  socklen_t named = sizeof port->target;
  return getsockname(port->fd, &port->target.any, &named) == 0 ? 0 : errno;
}

/** Whether it is a socket of a known kind that listens. */
static bool does_listen(int fd, int family) {
  int listens = 0;
  int type = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) return false;
  size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
  return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

/** A copy of a socket that somebody else has opened: 0, or an errno. It may have been opened for one process; Linux lets others come later. */
static int inherit_port(struct port *port) {
  const int on = 1;
  socklen_t named = sizeof port->target;
  port->is_inherited = true;
  port->fd = fcntl(port->options.fd, F_DUPFD_CLOEXEC, 0);
  if (port->fd < 0) return errno;
  if (getsockname(port->fd, &port->target.any, &named) != 0) return errno;
  const int family = port->target.any.sa_family;
  if (!does_listen(port->fd, family)) return EINVAL;
  const bool is_shared = port->options.reuse_port && family != AF_UNIX;
  if (is_shared && setsockopt(port->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return errno;
  // Those who share it share this, too. Without it, who comes second for a client would wait for the next one.
  const int flags = fcntl(port->fd, F_GETFL);
  if (flags < 0 || fcntl(port->fd, F_SETFL, flags | O_NONBLOCK) != 0) return errno;
  return port_set_client_options(port->fd, &port->options.rules, family);
}

/** 0, or an errno. */
static int have_port(struct port *port) {
  const struct listen_options *options = &port->options;
  if (options->fd >= 0) return inherit_port(port);
  const socklen_t size = options->host != NULL ? target_of_ip(&port->target, options->host, options->port)
                                               : target_of_path(&port->target, options->path);
  return size == 0 ? EINVAL : open_port(port, size);
}

int open_listening(const struct listen_options *options, struct listening *out) {
  struct port port = {.fd = -1, .options = *options};
  const int error = have_port(&port);
  if (error == 0) *out = (struct listening){.port = target_port(&port.target), .fd = port.fd};
  else if (port.fd >= 0) close(port.fd);
  return error;
}

struct addition {
  struct port *port;
  bool done;
};

static void add_port(struct engine *engine, void *argument) {
  struct addition *addition = argument;
  struct port *port = addition->port;
  addition->done = group_join(engine, port) && loop_watch_port(&engine->loop, port->fd, port);
  if (!addition->done) {
    group_leave(engine, port);
    return;
  }
  port->next = engine->ports;
  engine->ports = port;
}

int engine_listen(struct engine *engine, const struct listen_options *options, struct listening *out) {
  if (engine->stopped) return ECANCELED;
  struct port *port = calloc(1, sizeof *port);
  if (port == NULL) return ENOMEM;
  port->fd = -1;
  port->options = *options;
  int error = have_port(port);
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
  *out = (struct listening){.listener = port->number, .port = target_port(&port->target), .fd = port->fd};
  return 0;
}

/** Events of this turn may still point to it, so it is freed at the end. */
void port_free_later(struct engine *engine, struct port *port) {
  port->next = engine->dead_ports;
  engine->dead_ports = port;
}

void port_leave(struct engine *engine, struct port *port) {
  group_count(port, -1);
  if (port->is_closed && port->held == 0) port_free_later(engine, port);
}

void ports_free_dead(struct engine *engine) {
  while (engine->dead_ports != NULL) {
    struct port *port = engine->dead_ports;
    engine->dead_ports = port->next;
    group_leave(engine, port);
    free(port);
  }
}

void port_close(struct engine *engine, void *argument) {
  struct port *port = argument;
  struct port **link = &engine->ports;
  while (*link != port) link = &(*link)->next;
  *link = port->next;
  port_stop(engine, port);
  port->is_closed = true;
  close(port->fd);
  if (!port->is_inherited) remove_path(port);
  if (port->held == 0) port_free_later(engine, port);
}

void ports_close(struct engine *engine) {
  while (engine->ports != NULL) port_close(engine, engine->ports);
  ports_free_dead(engine);
}
