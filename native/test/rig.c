#define _GNU_SOURCE
#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000

_Noreturn void give_up(const char *file, int line, const char *format, ...) {
  va_list arguments;
  fprintf(stderr, "%s:%d: ", file, line);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, "\n");
  _exit(1);
}

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

unsigned scaled(unsigned count) {
  const char *divisor = getenv("DRIVE_DIVISOR");
  unsigned by = divisor == NULL ? 1 : (unsigned)strtoul(divisor, NULL, 10);
  return by == 0 || count / by == 0 ? 1 : count / by;
}

int open_files(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  check(folder != NULL, "no /proc");
  while (readdir(folder) != NULL) count++;
  closedir(folder);
  return count;
}

static void wake(void *context) {
  const uint64_t one = 1;
  struct rig *rig = context;
  check(write(rig->wakes, &one, sizeof one) == sizeof one, "wake");
}

/** DRIVE_ENGINE: `epoll` or `io_uring`, else whatever can be had. */
static enum engine_kind wanted_kind(void) {
  const char *wanted = getenv("DRIVE_ENGINE");
  if (wanted == NULL || *wanted == '\0') return KIND_ANY;
  return strcmp(wanted, "epoll") == 0 ? KIND_EPOLL : KIND_IO_URING;
}

void rig_start(struct rig *rig, uint32_t max_sessions) {
  memset(rig, 0, sizeof *rig);
  rig->wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  rig->decide = relay_all;
  rig->to = (struct relay_options){.connect_timeout_ms = 5000, .idle_timeout_ms = 30000};
  const struct engine_options options = {
      .kind = wanted_kind(), .max_sessions = max_sessions, .bytes_room = SHARED_BYTES, .wake = wake, .context = rig};
  rig->engine = engine_start(&options);
  check(rig->engine != NULL, "engine_start: %s", strerror(errno));
}

void rig_stop(struct rig *rig) {
  engine_free(rig->engine);
  close(rig->wakes);
}

struct listen_options usual_port(void) {
  return (struct listen_options){.host = "127.0.0.1",
                                 .fd = -1,
                                 .backlog = 1024,
                                 .rules = {.no_delay = true,
                                           .keep_alive_ms = 30000,
                                           .waits = true,
                                           .first_byte_ms = 30000,
                                           .head_bytes = 4096,
                                           .max_sessions = MAX_PLACES}};
}

struct listening rig_open(struct rig *rig, const struct listen_options *options) {
  struct listening opened;
  int error = engine_listen(rig->engine, options, &opened);
  check(error == 0, "listen: %s", strerror(error));
  return opened;
}

uint16_t rig_listen(struct rig *rig, const struct listen_options *options) {
  return rig_open(rig, options).port;
}

void rig_send_to(struct rig *rig, const char *host, int port) {
  rig->to.host = host;
  rig->to.port = port;
}

struct known *known_by_port(struct rig *rig, uint16_t client_port) {
  for (size_t at = rig->opened; at-- > 0;)
    if (rig->known[at].client_port == client_port) return &rig->known[at];
  give_up(__FILE__, __LINE__, "no session of port %u", client_port);
}

static void add_head(struct rig *rig, struct known *known, const double *values) {
  const uint32_t offset = (uint32_t)values[1];
  const uint32_t count = (uint32_t)values[2];
  known->head_flags = (unsigned)values[0];
  check(offset + count <= SHARED_BYTES, "bytes beyond the buffer");
  if (known->head_bytes + count <= HEAD_KEPT) memcpy(known->head + known->head_bytes, rig->bytes + offset, count);
  known->head_bytes += count;
}

static void note_open(struct rig *rig, const double *event) {
  struct address_pair pair;
  size_t *place = &rig->by_place[(size_t)event[2]];
  check(rig->known[*place].id == 0 || rig->known[*place].is_released || rig->known[*place].place != event[2],
        "a place was given twice");
  check(rig->opened < MAX_KNOWN, "too many sessions");
  *place = rig->opened;
  struct known *known = &rig->known[*place];
  known->id = event[1];
  known->place = event[2];
  known->listener = (uint32_t)event[3];
  known->is_open = true;
  add_head(rig, known, event + 4);
  check(engine_addresses(rig->engine, known->id, &pair), "no addresses");
  known->client_port = pair.remote_port;
  rig->opened++;
}

static void note_ended(struct rig *rig, struct known *known, const double *event) {
  check(!known->is_over, "ended twice");
  known->is_over = true;
  known->cause = (int)event[3];
  known->bytes_up = event[4];
  known->bytes_down = event[5];
  known->first_byte_ms = event[6];
  rig->over++;
}

static void note_recalled(struct rig *rig, struct known *known, const double *event) {
  check(!known->is_over, "recalled after its end");
  known->is_given = event[3] == 1;
  known->bytes_up = event[4];
  known->bytes_down = event[5];
  if (known->is_given) rig->recalled++;
}

static void note_trouble(struct rig *rig, const double *event) {
  rig->turned_away += event[3];
  rig->failed_accepts += event[4];
  if (event[5] != 0) rig->last_errno = (int)event[5];
}

static void note(struct rig *rig, const double *event) {
  const enum event_kind kind = (enum event_kind)event[0];
  if (kind == EVENT_TROUBLE) {
    note_trouble(rig, event);
    return;
  }
  check(event[2] < 1024, "no such place");
  if (kind == EVENT_OPEN) note_open(rig, event);
  struct known *known = &rig->known[rig->by_place[(size_t)event[2]]];
  check(known->id == event[1], "an event of a session that is gone: kind %d", kind);
  if (kind == EVENT_HEAD) add_head(rig, known, event + 4);
  if (kind == EVENT_CONNECTED) rig->connected++;
  if (kind == EVENT_BROKE) rig->broke++;
  if (kind == EVENT_RECALLED) note_recalled(rig, known, event);
  if (kind == EVENT_ENDED) note_ended(rig, known, event);
  if (kind == EVENT_FAILED) {
    known->error = (int)event[3];
    rig->failed++;
  }
  rig->decide(rig, known, kind);
}

/** One wait and all that it brings. */
static void step(struct rig *rig, int timeout_ms) {
  struct pollfd wait = {.fd = rig->wakes, .events = POLLIN};
  const struct taken to = {
      .events = rig->events, .events_room = MAX_EVENTS, .bytes = rig->bytes, .bytes_room = SHARED_BYTES};
  uint64_t wakes;
  size_t count;
  if (poll(&wait, 1, timeout_ms) <= 0) return;
  check(read(rig->wakes, &wakes, sizeof wakes) == sizeof wakes, "read of an eventfd");
  while ((count = engine_take(rig->engine, &to)) > 0) {
    // What decisions do may use the shared buffer, so they get copies of the events.
    double events[MAX_EVENTS * EVENT_FIELDS];
    memcpy(events, rig->events, count * EVENT_FIELDS * sizeof *events);
    for (size_t at = 0; at < count; at++) note(rig, events + at * EVENT_FIELDS);
  }
}

void rig_wait(struct rig *rig, const uint32_t *counter, uint32_t wanted) {
  const int64_t until = now_ms() + PATIENCE_MS;
  while (*counter < wanted) {
    step(rig, 100);
    check(now_ms() < until, "waited for %u, got %u", wanted, *counter);
  }
}

void rig_run(struct rig *rig, int ms) {
  const int64_t until = now_ms() + ms;
  for (int64_t left = ms; left > 0; left = until - now_ms()) step(rig, (int)left);
}

static void release(struct rig *rig, struct known *known) {
  check(engine_release(rig->engine, known->id), "cannot release");
  check(!engine_release(rig->engine, known->id), "released twice");
  known->is_released = true;
}

void relay_all(struct rig *rig, struct known *known, enum event_kind kind) {
  if (kind == EVENT_OPEN) check(engine_relay(rig->engine, known->id, &rig->to) == DONE, "cannot relay");
  if (kind == EVENT_FAILED || kind == EVENT_ENDED) release(rig, known);
}
