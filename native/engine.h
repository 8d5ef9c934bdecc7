// The engine's interface for whoever drives it: Node-API in addon.c, or a plain C program. One thread drives, one carries.
// What the numbers and rules mean is said in src/stream/carrier/addon.ts; this file says it for C.
#ifndef CARRIER_ENGINE_H
#define CARRIER_ENGINE_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Numbers per event. */
#define EVENT_FIELDS 12

/** What a session's id is made of: its place, and how often that place was used before. */
#define SLOT_BITS 20
#define MAX_SLOTS (1u << SLOT_BITS)

/** Longer times never end. */
#define NEVER_MS UINT32_MAX

enum event_kind {
  EVENT_OPEN = 1,
  EVENT_HEAD,
  EVENT_BROKE,
  EVENT_CONNECTED,
  EVENT_FAILED,
  EVENT_ENDED,
  EVENT_RECALLED,
  EVENT_TROUBLE,
};

enum head_flag { HEAD_ENDED = 1, HEAD_RESET = 2, HEAD_TIMEOUT = 4 };

enum cause {
  CLIENT_CLOSED,
  PEER_CLOSED,
  CLIENT_RESET,
  PEER_RESET,
  IDLE_TIMEOUT,
  KILLED,
  SHUTDOWN,
  DRAINED,
  CAUSES,
};

/** `MISUSED`: an argument that no caller may give. */
enum answer { GONE, DONE, MISUSED };

struct engine;

/** How it waits: by io_uring where it can, or by one of them and nothing else. */
enum engine_kind { KIND_ANY, KIND_EPOLL, KIND_IO_URING };

struct engine_options {
  enum engine_kind kind;
  uint32_t max_sessions;
  /** Room for bytes in one `engine_take`; no event ever has more. */
  size_t bytes_room;
  /** Called on the engine's thread when events wait. Must not call the engine. */
  void (*wake)(void *context);
  void *context;
};

/** How a port treats its clients: what may change while it is open. */
struct port_rules {
  bool no_delay;
  uint32_t keep_alive_ms;
  bool waits;
  uint32_t first_byte_ms;
  uint32_t head_bytes;
  /** Ports of one group count their sessions together; 0: this one for itself. */
  uint32_t group;
  uint32_t max_sessions;
};

struct listen_options {
  /** An IP address; or NULL, and `path` is that of a unix socket. */
  const char *host;
  const char *path;
  /** A socket that listens already, and -1: open one. The engine takes a copy, and the caller's stays his. */
  int fd;
  uint16_t port;
  int backlog;
  bool ipv6_only;
  bool reuse_port;
  struct port_rules rules;
};

struct listening {
  uint32_t listener;
  uint16_t port;
  /** The engine's, until `engine_unlisten`. */
  int fd;
};

struct relay_options {
  /** An IP address; or a path, when the port is -1. */
  const char *host;
  int port;
  const char *local_address;
  uint32_t connect_timeout_ms;
  uint32_t idle_timeout_ms;
  uint32_t skip;
  const uint8_t *preface;
  uint32_t preface_bytes;
};

/** Where `engine_take` puts things. */
struct taken {
  double *events;
  size_t events_room;
  uint8_t *bytes;
  size_t bytes_room;
};

/** What `engine_take_over` hands out; `bytes` belong to the caller, who frees them. */
struct handed_over {
  int fd;
  /** The other side of a relay that was recalled, else -1. */
  int peer;
  uint8_t *bytes;
  size_t bytes_count;
  unsigned flags;
};

struct counters {
  double bytes_up;
  double bytes_down;
  double idle_ms;
};

/** How one direction of a bucket fills; `add`: bytes put in now. */
struct inflow {
  double rate; // bytes per second; infinity: no limit
  double burst;
  double add;
};

/** What is known of one direction of a bucket. */
struct level {
  double served; // bytes that have come in, or came back
  double taken;  // bytes that were taken or promised
  double used;   // without those that came back
  double waiting;
  double rate;
};

/** Text of an address: an IPv6 address with its zone, or `unix:` and a path. */
#define ADDRESS_TEXT 128

struct address_pair {
  char remote[ADDRESS_TEXT];
  uint16_t remote_port;
  char local[ADDRESS_TEXT];
  uint16_t local_port;
};

/** A client that has said nothing yet. The path of a unix socket is that of its port. */
struct silent {
  double session;
  uint32_t listener;
  uint16_t local_port;
  double accepted_ms;
  struct ends ends;
};

/** NULL, with errno set, when the system has no thread or no file descriptor left, or not the wanted kind. */
struct engine *engine_start(const struct engine_options *options);
/** Ends the thread and closes every socket that is still the engine's. A second call does nothing. */
void engine_stop(struct engine *engine);
/** Stops it, and gives its memory back. */
void engine_free(struct engine *engine);
const char *engine_kind(const struct engine *engine);

/** Opens a socket that listens, for others to accept at: no engine has to do with it. 0, or an errno; the socket is the caller's. */
int open_listening(const struct listen_options *options, struct listening *out);
/** 0, or an errno. */
int engine_listen(struct engine *engine, const struct listen_options *options, struct listening *out);
/** The port stays open, and its clients wait in the kernel's queue. */
bool engine_pause(struct engine *engine, double listener);
bool engine_resume(struct engine *engine, double listener);
bool engine_unlisten(struct engine *engine, double listener);
/** Clients from now on are treated so; false: there is no such port, or no memory. */
bool engine_adjust(struct engine *engine, double listener, const struct port_rules *rules);

/** Clients that have said nothing yet. The list is the caller's to free; NULL: there are none, or no memory. */
struct silent *engine_silent(struct engine *engine, size_t *count);
void silent_addresses(const struct silent *silent, struct address_pair *out);
/** Opens one of them as if its time were over; false: it is none of them. */
bool engine_open(struct engine *engine, double session);
void engine_open_silent(struct engine *engine);

size_t engine_take(struct engine *engine, const struct taken *to);
/** True when events wait although the driver was woken for them: it must be woken once more. */
bool engine_has_leftovers(struct engine *engine);

enum answer engine_more(struct engine *engine, double session, uint32_t at_least, uint32_t timeout_ms);
enum answer engine_relay(struct engine *engine, double session, const struct relay_options *to);
bool engine_take_over(struct engine *engine, double session, struct handed_over *out);
bool engine_close(struct engine *engine, double session, bool reset);
enum answer engine_kill(struct engine *engine, double session, double cause);
bool engine_drain(struct engine *engine, double session);
bool engine_recall(struct engine *engine, double session, uint32_t rest_ms);
bool engine_limit(struct engine *engine, double session, double up, double down);
/** A bucket that sessions share; its number, or -1: no memory. */
double engine_bucket(struct engine *engine);
bool engine_drop(struct engine *engine, double bucket);
/** How its directions fill from now on. */
bool engine_fill(struct engine *engine, double bucket, const struct inflow inflows[2]);
bool engine_levels(struct engine *engine, double bucket, struct level levels[2]);
bool engine_pay(struct engine *engine, double bucket, double bytes_up);
/** The session takes from it, too, before it moves bytes; false: there is none such, or it is relayed already. */
bool engine_share(struct engine *engine, double session, double bucket);
bool engine_counters(struct engine *engine, double session, struct counters *out);
bool engine_addresses(struct engine *engine, double session, struct address_pair *out);
bool engine_release(struct engine *engine, double session);
uint32_t engine_sessions(struct engine *engine);

#endif
