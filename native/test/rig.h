// What the stories need: an engine that is driven, peers that answer, and sockets that do not lie about what they got.
#ifndef CARRIER_TEST_RIG_H
#define CARRIER_TEST_RIG_H

#include "../engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#define MAX_PLACES 256
#define MAX_EVENTS 16
#define MAX_KNOWN 1024
#define HEAD_KEPT 1024
#define SHARED_BYTES (32 * 1024)

/** Ends the test unless `holds`. */
#define check(holds, ...) ((holds) ? (void)0 : give_up(__FILE__, __LINE__, __VA_ARGS__))
_Noreturn void give_up(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** How a peer behaves. */
enum role {
  ECHO,     // what comes goes back, until the end
  SUM,      // count and hash of all that comes, when it has ended
  BANNER,   // speaks first, then echoes
  RESETTER, // resets at the first byte
  STALLER,  // does not read for a while, then echoes
  SOURCE,   // sends SOURCE_BYTES at the first byte, then ends
  HANG_UP,  // ends its side at once, and sums what comes
  ROLES,
};
#define SOURCE_BYTES (8 * 1024 * 1024)
#define STALL_MS 300

struct sum {
  uint64_t count;
  uint64_t hash;
};
struct sum sum_empty(void);
void sum_add(struct sum *sum, const uint8_t *bytes, size_t count);

/** A session, as the driver knows it. */
struct known {
  double id;
  double place;
  uint32_t listener;
  uint16_t client_port;
  bool is_open;
  bool is_over;
  bool is_released;
  bool is_given; // both sockets, by the latest recall
  unsigned head_flags;
  uint32_t head_bytes;
  uint8_t head[HEAD_KEPT];
  int error;
  int cause;
  double bytes_up;
  double bytes_down;
  double first_byte_ms;
};

struct rig;
/** Called for every event, after it was written down in `known`. */
typedef void (*decision)(struct rig *rig, struct known *known, enum event_kind kind);

struct rig {
  struct engine *engine;
  int wakes; // an eventfd
  decision decide;
  struct relay_options to; // where the usual decision sends
  double events[MAX_EVENTS * EVENT_FIELDS];
  uint8_t bytes[SHARED_BYTES];
  struct known known[MAX_KNOWN]; // all that ever were, in order
  size_t by_place[1024];   // the latest there
  uint32_t opened;
  uint32_t over;
  uint32_t connected;
  uint32_t failed;
  uint32_t broke;
  uint32_t recalled; // given back
  double turned_away;
  double failed_accepts;
  int last_errno;
};

void rig_start(struct rig *rig, uint32_t max_sessions);
void rig_stop(struct rig *rig);
/** A port of usual options, with the given ones changed. */
struct listen_options usual_port(void);
struct listening rig_open(struct rig *rig, const struct listen_options *options);
uint16_t rig_listen(struct rig *rig, const struct listen_options *options);
/** Where sessions go from now on. */
void rig_send_to(struct rig *rig, const char *host, int port);
/** Takes events until the counter has reached `wanted`. */
void rig_wait(struct rig *rig, const uint32_t *counter, uint32_t wanted);
/** Takes events for so long. */
void rig_run(struct rig *rig, int ms);
/** Relays at once, and releases at the end. */
void relay_all(struct rig *rig, struct known *known, enum event_kind kind);
struct known *known_by_port(struct rig *rig, uint16_t client_port);

/** A listening socket, its thread, and a thread per connection. */
struct peer {
  enum role role;
  int fd;
  uint16_t port;
  pthread_t thread;
  _Atomic int connections; // alive
  _Atomic int resets;      // those that ended by one
  _Atomic uint64_t received; // bytes
};
void peer_start(struct peer *peer, enum role role, const char *path);
void peer_stop(struct peer *peer);

int make_socket(void);
void connect_socket(int fd, uint16_t port);
int connect_to(uint16_t port);
int connect_path(const char *path);
uint16_t port_of(int fd);
/** False when the other side is gone; then the next read may tell of an end. */
bool send_all(int fd, const void *bytes, size_t count);
/** Until the end; -1 with errno when it is none. */
ssize_t read_all(int fd, struct sum *sum);
void read_exactly(int fd, void *bytes, size_t count);
void reset(int fd);
void sleep_ms(int ms);
int64_t now_ms(void);
int open_files(void);
/** Stories are shorter under a tool that slows everything down. */
unsigned scaled(unsigned count);

// The stories.
void story_many(void);
void story_bulk(void);
void story_messages(void);
void story_resets(void);
void story_heads(void);
void story_failures(void);
void story_kills(void);
void story_limits(void);
void story_exhaustion(void);
void story_hand_over(void);
void story_times(void);
void story_rates(void);
void story_shares(void);
void story_families(void);
void story_ports(void);
void story_drains(void);
void story_recalls(void);
void story_wrong_ids(void);
void story_stop(void);

#endif
