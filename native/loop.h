// How the engine waits for many sockets. The rest of it knows no more than this, so that another way of the system's may come.
#ifndef CARRIER_LOOP_H
#define CARRIER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/** Handled per turn. */
#define LOOP_EVENTS 256

struct loop {
  int epoll;
  int wake;
};

/** What a file descriptor belongs to; the last bits of the pointer that is registered with it. */
enum watched { WATCHED_CLIENT, WATCHED_PEER, WATCHED_PORT, WATCHED_WAKE, WATCHED_MASK = 3 };

enum ready { READY_IN = 1, READY_OUT = 2, READY_HUP = 4, READY_ERR = 8 };

struct ready_event {
  void *owner;
  enum watched what;
  unsigned ready;
};

struct engine;

/** 0, or an errno. */
int loop_open(struct loop *loop);
void loop_close(struct loop *loop);
const char *loop_kind(void);
/** Tells once of each change, for as long as the descriptor is open; of room to send only if that is wanted. */
bool loop_watch(struct loop *loop, int fd, void *owner, enum watched what, bool wants_room);
/** A send was blocked: from now on it tells of room, too. */
bool loop_watch_room(struct loop *loop, int fd, void *owner, enum watched what);
/** Tells as long as clients wait; other processes that accept there are told as well. */
bool loop_watch_port(struct loop *loop, int fd, void *owner);
/** Any thread. */
void loop_forget(struct loop *loop, int fd);
/** Any thread: ends a wait. */
void loop_wake(struct loop *loop);
/** How many events there are; a wake is none. Waits for `timeout_ms`, -1: without end. */
int loop_wait(struct loop *loop, struct ready_event events[LOOP_EVENTS], int timeout_ms);

#endif
