// What a port is, for those who open it and those who accept from it.
#ifndef CARRIER_PORT_H
#define CARRIER_PORT_H

#include "parts.h"

#include <sys/types.h>

struct port {
  int fd;
  uint32_t number;
  struct listen_options options; // `host` and `path` are not kept
  struct group *group; // engine
  union target target;
  dev_t path_device; // of a unix socket: which file its path was
  ino_t path_inode;
  bool is_wildcard;
  bool is_inherited;      // other processes may accept there, and its path is not ours to remove
  bool is_paused;         // engine: by the driver
  bool is_closed;         // engine
  uint32_t held;          // engine: sessions not released
  struct port *next;      // driver, and the engine in requests
  struct port *next_paused; // engine: out of file descriptors
  int64_t resume_ms;      // engine: 0 when it accepts
  struct port *next_troubled; // lock
  bool troubled;          // lock
  uint32_t turned_away;   // lock
  uint32_t failed;        // lock
  int error;              // lock
};

/** 0, or an errno. Accepted sockets inherit these options, which saves a system call for each. */
int port_set_client_options(int fd, const struct port_rules *rules, int family);
/** To be asked of the engine; `port` is one. */
void port_close(struct engine *engine, void *port);
/** Once no event can point to it any more. */
void port_free_later(struct engine *engine, struct port *port);

// port-group.c
/** Has the port count with those of its group; false: no memory. */
bool group_join(struct engine *engine, struct port *port);
void group_leave(struct engine *engine, struct port *port);
bool group_is_full(const struct port *port);
/** A session comes to the port, or leaves it: +1, -1. */
void group_count(struct port *port, int sessions);

/** Waits for clients; without memory for that, it tries again soon. */
void port_watch(struct engine *engine, struct port *port);
/** Waits for clients no more. */
void port_rest(struct engine *engine, struct port *port);
/** Nothing more is accepted there, and nothing more told of it. */
void port_stop(struct engine *engine, struct port *port);

#endif
