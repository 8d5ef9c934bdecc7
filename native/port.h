// What a port is, for those who open it and those who accept from it.
#ifndef CARRIER_PORT_H
#define CARRIER_PORT_H

#include "parts.h"

#include <sys/types.h>

struct port {
  int fd;
  uint32_t number;
  struct listen_options options; // `host` and `path` are not kept
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

/** Waits for clients; without memory for that, it tries again soon. */
void port_watch(struct engine *engine, struct port *port);
/** Waits for clients no more. */
void port_rest(struct engine *engine, struct port *port);
/** Nothing more is accepted there, and nothing more told of it. */
void port_stop(struct engine *engine, struct port *port);

#endif
