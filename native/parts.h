// What the engine is made of. Two threads meet here, so each field says whose it is:
//   engine   only the engine's thread touches it
//   driver   only the thread that drives the engine (JavaScript's) touches it
//   lock     either, under engine->lock
//   atomic   either, at any time
//   owner    whoever owns the session: the engine while it waits, connects or relays, else the driver
#ifndef CARRIER_PARTS_H
#define CARRIER_PARTS_H

#include "engine.h"
#include "loop.h"
#include "timer.h"

#include <pthread.h>
#include <stdatomic.h>

/** One read at most. Larger ones leave the cache, smaller ones cost 10 to 15 % more. */
#define BUFFER_BYTES (64 * 1024)
/** Sessions get memory by so many at a time, and keep their address. */
#define CHUNK_SLOTS 1024u
#define CHUNKS (MAX_SLOTS / CHUNK_SLOTS)

/** Which way bytes go. */
enum direction { UP, DOWN };

/** What is known of a socket. Edge-triggered: the kernel tells once, so it is kept until a system call says otherwise. */
enum side_flag {
  READABLE = 1,
  WRITABLE = 2,
  HUNG_UP = 4,  // FIN was announced: a short read does not mean that nothing is left
  FAULTY = 8,   // an error was announced, and may hide behind an end
  ENDED = 16,   // the end was read
  PASSED = 32,  // the other side's end was passed on to this socket
  PROBED = 64,  // keep-alive is set
  ROOM_WATCHED = 128, // the kernel tells of room to send: clients' sockets seldom lack it, so it is not asked to before
};

struct side {
  int fd;
  uint8_t flags;
};

/** One direction. Owner: all but `bytes`. */
struct flow {
  _Atomic uint64_t bytes;
  uint8_t *rest; // read and not sent yet; before the relay, the head
  uint32_t rest_start;
  uint32_t rest_end;
  uint32_t rest_room;
  uint8_t full_reads; // in a row
  bool unspliceable;
  bool throttled;
  bool over; // the end was passed on, or would have been
  struct pipe *pipe;
};

enum state { FREE, WAITING, READING, ASKED, CONNECTING, RELAYING, RECALLED, OVER };

/** What the driver may do with a session. `HELD_BOTH`: its relay was recalled, and nobody has taken the two sockets yet. */
enum hold { UNKNOWN, HELD, LENT_FOR_HEAD, LENT_TO_RELAY, HELD_BOTH, SPENT };

/** What the driver knows of a relay. */
enum note {
  CONNECTED = 1, // it was told so
  GIVEN_UP = 2,  // it has asked for a gentle end
  ASKED_BACK = 4, // it waits for the answer to a recall
};

enum command {
  CMD_MORE = 1,
  CMD_RELAY = 2,
  CMD_KILL = 4,
  CMD_CLOSE = 8,
  CMD_RESET = 16,
  CMD_LIMIT = 32,
  CMD_RELEASE = 64,
  CMD_DRAIN = 128,
  CMD_RECALL = 256,
  CMD_RESUME = 512, // takes a recall back
};

/** A relay that is ended gently: nothing is taken in any more; then, all that was is sent and both sides were told of the end. */
enum draining { NOT_DRAINING, FLUSHING, LINGERING };

#define NO_CAUSE UINT8_MAX
/** In the place of events: released, but still in their queue. No event has this bit. */
#define ORPHANED 1

struct bucket;  // bucket.c
struct buckets; // bucket.c
struct order;   // dial.c
struct lane;    // lane.c
struct lanes;   // lane.c
struct limit;   // limit.c
struct pipe;    // splice.c
struct pipes;   // splice.c
struct group;   // port-group.c
struct port;    // port.c, accept.c

struct session {
  struct side client; // engine; `fd`: owner
  struct side peer;   // engine; `fd`: owner
  struct flow flows[2];
  struct timer timer;            // engine
  struct session *next_event;    // lock
  struct session *next_command;  // lock; engine while the session is being freed
  struct session *next_run;      // engine
  struct port *port;             // set before the driver hears of the session
  union {
    struct order *order; // owner, until the relay runs
    struct lane *lane;   // engine: if it is on the ring
  };
  _Atomic(struct limit *) limit; // the driver sets it once, the engine frees it
  struct ends ends;              // set before the driver hears of the session
  uint8_t state;                 // engine
  bool on_ring : 1;              // engine: the ring has both sockets, and epoll none
  bool running : 1;              // engine: in the list of those who yielded
  bool answered : 1;             // engine, until `recalled` is told: the last bytes were the peer's
  uint8_t calm;                  // engine: so often nothing but messages moved
  uint8_t draining;              // engine
  _Atomic uint32_t moved_ms;     // when a byte moved; see idle_ms_of
  int64_t began_us;              // owner: accepted, then the start of the connect
  union {
    uint32_t at_least; // owner: wanted bytes of the head, while they are read
    float connect_ms;  // engine, until `connected` is told
    int error;         // engine, until `failed` is told
  };
  float first_byte_ms;         // engine, until `ended` is told
  _Atomic uint32_t generation; // the engine counts it up when the place is taken
  uint32_t slot;               // never changes
  union {
    uint32_t told;    // driver, until the relay runs: so many bytes of the head
    uint32_t rest_ms; // driver, then engine with CMD_RECALL: how long it must have been idle
    bool recalled;    // engine, until `recalled` is told
  };
  uint32_t wait_ms;            // owner: how long `more` may take; then the idle time
  uint8_t head_flags;          // owner
  uint8_t cause;               // engine, until `ended` is told
  uint8_t hold;                // driver
  uint8_t kill_cause;          // driver, then engine with CMD_KILL
  uint8_t notes;               // driver: a bit per note
  uint8_t events;              // lock: a bit per event_kind, or ORPHANED
  uint16_t commands;           // lock
};
_Static_assert(sizeof(struct session) <= 256, "a session is small, since there are many");

/** Something rare that the driver wants done on the engine's thread, and waits for. */
struct request {
  void (*run)(struct engine *engine, void *argument);
  void *argument;
};

/** Sessions in a row, by one of their links. */
struct queue {
  struct session *first;
  struct session *last;
};

/** What the thread answers to its start; -1: nothing yet. */
struct start {
  int error; // lock
};

struct engine {
  struct loop loop; // engine, but for loop_forget
  struct wheel wheel;
  struct engine_options options;
  pthread_t thread;
  bool stopped;        // driver
  struct start *start; // driver, until the thread runs

  pthread_mutex_t lock;
  pthread_cond_t answered;
  struct queue events;     // lock: for the driver
  struct queue commands;   // lock: for the engine
  struct request *request; // lock
  struct port *troubled;   // lock: ports with something to tell
  bool woken;              // lock: the driver was woken, and has not emptied its queue since
  _Atomic bool asleep;     // the engine must be woken
  _Atomic bool called;     // there are commands or a request
  _Atomic bool stopping;

  bool urgent;             // engine: events that must not wait
  int64_t lazy_since_ms;   // engine: the oldest that may; 0: none
  int64_t now_ms;          // engine: of this turn
  struct session *runners; // engine: who yielded
  struct session *freed;   // engine: places that are free after this turn
  struct session *places;  // engine: free places
  uint32_t slots;          // engine: places that exist
  _Atomic(struct session *) chunks[CHUNKS];
  _Atomic uint32_t sessions; // accepted and not released
  struct port *ports;        // driver, and the engine in requests
  struct group *groups;      // engine
  struct port *paused;       // engine: out of file descriptors
  struct port *dead_ports;   // engine: freed after this turn
  uint32_t last_port;        // driver
  struct pipes *pipes;       // engine
  struct lanes *lanes;       // engine; NULL: epoll alone
  struct buckets *buckets;   // driver; NULL: there was none yet
  uint8_t buffer[BUFFER_BYTES];
};

/** Milliseconds wrap around after 49 days; their difference does not, unless nothing moved for so long. */
static inline uint32_t idle_ms_of(const struct session *session, int64_t now_ms) {
  return (uint32_t)now_ms - atomic_load_explicit(&session->moved_ms, memory_order_relaxed);
}

static inline void note_moved(struct session *session, int64_t now_ms) {
  atomic_store_explicit(&session->moved_ms, (uint32_t)now_ms, memory_order_relaxed);
}

/** 2^52: beyond it, a number cannot be told from its neighbour. */
#define MOST_IDS 4503599627370496.0

/** A session's bit in `events`. */
static inline uint8_t event_bit(enum event_kind kind) { return (uint8_t)(1u << kind); }

// slots.c
struct session *session_new(struct engine *engine);
void session_free_later(struct engine *engine, struct session *session);
void sessions_free_now(struct engine *engine);
struct session *session_at(struct engine *engine, uint32_t slot);
double session_id(const struct session *session);
void close_socket(int *fd, bool reset);
void flow_clear(struct flow *flow);

// mail.c
void tell(struct engine *engine, struct session *session, enum event_kind kind);
void tell_trouble(struct engine *engine, struct port *port);
void command(struct engine *engine, struct session *session, enum command what);
void ask(struct engine *engine, void (*run)(struct engine *, void *), void *argument);
void run_commands(struct engine *engine);
bool fall_asleep(struct engine *engine);
void wake_up(struct engine *engine);
/** Any thread: has the engine look at what there is for it. */
void call_engine(struct engine *engine, bool at_once);
void wake_driver(struct engine *engine);
int lazy_timeout(const struct engine *engine);

// engine.c
/** On the engine's thread, before anything else: 0, or why it cannot go on. */
int engine_begin(struct engine *engine);

// turn.c
int64_t clock_us(void);
void *engine_thread(void *engine);
void run_later(struct engine *engine, struct session *session);

// port.c, accept.c
void port_ready(struct engine *engine, struct port *port);
void port_leave(struct engine *engine, struct port *port);
void ports_resume(struct engine *engine);
int ports_timeout(const struct engine *engine);
void ports_free_dead(struct engine *engine);
/** After the engine's thread has ended. */
void ports_close(struct engine *engine);
bool port_waits(const struct port *port);
uint32_t port_number(const struct port *port);
const char *port_path(const struct port *port);
uint16_t port_bound(const struct port *port);
uint32_t port_head_bytes(const struct port *port);
uint32_t port_first_byte_ms(const struct port *port);
/** Lock: puts what is to tell into `event`, if there is anything. */
bool port_trouble(struct engine *engine, double *event);

// head.c
void head_begin(struct engine *engine, struct session *session);
void head_more(struct engine *engine, struct session *session);
void head_ready(struct engine *engine, struct session *session);
void head_over(struct engine *engine, struct session *session, unsigned flags);
/** Makes room for so many bytes behind `rest_end`; false: no memory. */
bool flow_reserve(struct flow *flow, uint32_t bytes);
bool flow_append(struct flow *flow, const uint8_t *bytes, uint32_t count);

// dial.c
enum answer order_make(const struct relay_options *to, struct order **made);
uint32_t order_skip(const struct order *order);
void dial(struct engine *engine, struct session *session);
void dial_ready(struct engine *engine, struct session *session);
void dial_late(struct engine *engine, struct session *session);

// relay.c
void relay_begin(struct engine *engine, struct session *session);
void relay_run(struct engine *engine, struct session *session);
void relay_late(struct engine *engine, struct session *session);
void relay_end(struct engine *engine, struct session *session, enum cause cause);
/** Closes both sides, and tells of it; the cause is set. */
void relay_finish(struct engine *engine, struct session *session, bool reset_client, bool reset_peer);
/** A reset on one side becomes a reset on the other. */
void relay_reset(struct engine *engine, struct session *session, bool from_client);
void relay_limit(struct engine *engine, struct session *session);
/** The sockets are the engine's again, and epoll tells at once what there is on them. */
void relay_watch(struct engine *engine, struct session *session);

// recall.c
void recall_begin(struct engine *engine, struct session *session);
/** Decides, when nobody but the engine reads from the sockets. */
void recall_look(struct engine *engine, struct session *session);
/** Nobody has taken the sockets, and the relay goes on. */
void recall_undo(struct engine *engine, struct session *session);

// drain.c
void drain_begin(struct engine *engine, struct session *session);
void drain_run(struct engine *engine, struct session *session);
void drain_late(struct engine *engine, struct session *session);

// flow.c
enum step { STEP_WAIT, STEP_YIELD, STEP_OVER, STEP_FROM_RESET, STEP_TO_RESET, STEP_COPY };
/** A direction with its two sides, as the steps need it. */
struct stream {
  struct engine *engine;
  struct session *session;
  struct flow *flow;
  struct side *from;
  struct side *to;
  enum direction direction;
};
struct stream stream_of(struct engine *engine, struct session *session, enum direction direction);
enum step flow_run(struct stream *stream);
bool is_blocked(int error);
/** A send was blocked: nothing is sent there until there is room. */
void note_blocked(struct stream *stream);
/** True when the socket has an error that no read has told of. */
bool has_error(int fd);
void note_bytes(struct stream *stream, size_t count);
/** The end was read. */
void note_end(struct stream *stream);

// lane.c
/** NULL, with errno set: io_uring cannot be used here. The calling thread is the one that uses it. */
struct lanes *lanes_open(void);
void lanes_close(struct lanes *lanes);
/** True when it is the ring that must be waited for; it tells of epoll, too. */
bool lanes_are_used(const struct lanes *lanes);
void lanes_wait(struct engine *engine, int timeout_ms);
/** True when epoll has something to tell. */
bool lanes_run(struct engine *engine);
/** Both directions were looked at: if all that ever moves are messages, the ring carries them. */
void lane_offer(struct engine *engine, struct session *session);
/** Back to epoll, as soon as the kernel has stopped reading. */
void lane_leave(struct engine *engine, struct session *session);
/** The same, and then it is looked whether it is at rest. */
void lane_recall(struct engine *engine, struct session *session);
/** The session is over, and its sockets are about to be closed. */
void lane_drop(struct engine *engine, struct session *session);

// splice.c
/** So many full reads in a row, and it is no message but a stream: then the bytes need not be copied at all. */
#define STREAM_READS 4
/** Moves per direction and turn; then it is somebody else's turn. */
#define MOVES 16
struct pipes *pipes_new(void);
void pipes_free(struct pipes *pipes);
bool splice_begin(struct stream *stream);
enum step splice_run(struct stream *stream);
void splice_end(struct engine *engine, struct flow *flow);

// limit.c
struct limit *limit_new(void);
void limit_free(struct limit *limit);
void limit_set(struct limit *limit, double up, double down);
/** Before the relay begins: takes from this bucket, too. False: no memory. */
bool limit_share(struct limit *limit, struct bucket *bucket);
bool limit_applies(const struct limit *limit, enum direction direction);
/** How many bytes may move now; 0: `limit_wait_ms` says when some may. */
size_t limit_allows(struct limit *limit, enum direction direction, int64_t now_ms);
/** So many were read after the last `limit_allows`. */
void limit_use(struct limit *limit, enum direction direction, size_t bytes);
uint32_t limit_wait_ms(const struct limit *limit, enum direction direction, int64_t now_ms);

// bucket.c
void bucket_join(struct bucket *bucket);
/** The last who leaves gives its memory back. */
void bucket_leave(struct bucket *bucket);
bool bucket_limits(const struct bucket *bucket, enum direction direction);
/** How many of these bytes may be used at once; 0: so few that it is better to have some promised. */
size_t bucket_available(struct bucket *bucket, enum direction direction, size_t wanted, int64_t now_ms);
void bucket_use(struct bucket *bucket, enum direction direction, double bytes);
/** What one who waits is promised; infinity: there is no limit. */
double bucket_promise_bytes(struct bucket *bucket, enum direction direction);
/** Answers what must have come in before these bytes may be used: see `bucket_wait_ms`. */
double bucket_promise(struct bucket *bucket, enum direction direction, double bytes);
/** Who was promised bytes has used them, but for these. */
void bucket_settle(struct bucket *bucket, enum direction direction, double due, double unused);
/** How long to wait for what was promised, or to look again; 0: it is there. */
uint32_t bucket_wait_ms(struct bucket *bucket, enum direction direction, double due, int64_t now_ms);
/** The driver's bucket of this number; NULL: there is none. */
struct bucket *bucket_at(struct engine *engine, double number);
void buckets_free(struct engine *engine);

#endif
