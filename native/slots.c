// The places of sessions. Memory comes in chunks that never move, so that a pointer stays good while the engine lives.
#define _GNU_SOURCE
#include "parts.h"

#include <stdlib.h>
#include <unistd.h>

/**
 * More places than sessions may be: one that was released in this turn counts no more, but is not free yet. Since the free
 * ones are used again first, there are never many more.
 */
static bool add_chunk(struct engine *engine) {
  uint32_t first = engine->slots;
  if (first >= MAX_SLOTS) return false;
  struct session *chunk = calloc(CHUNK_SLOTS, sizeof *chunk);
  if (chunk == NULL) return false;
  for (uint32_t at = CHUNK_SLOTS; at-- > 0;) {
    chunk[at].slot = first + at;
    chunk[at].next_run = engine->places;
    engine->places = &chunk[at];
  }
  engine->slots += CHUNK_SLOTS;
  atomic_store_explicit(&engine->chunks[first / CHUNK_SLOTS], chunk, memory_order_release);
  return true;
}

/** Sets all but what the driver may be looking at: its hold on the place, which is none. */
static void reset(struct session *session) {
  session->client = (struct side){.fd = -1};
  session->peer = (struct side){.fd = -1};
  for (int at = UP; at <= DOWN; at++) {
    struct flow *flow = &session->flows[at];
    atomic_store_explicit(&flow->bytes, 0, memory_order_relaxed);
    flow->rest = NULL;
    flow->rest_start = flow->rest_end = flow->rest_room = 0;
    flow->full_reads = 0;
    flow->unspliceable = flow->throttled = flow->over = false;
    flow->pipe = NULL;
  }
  session->order = NULL;
  session->told = session->at_least = 0;
  session->first_byte_ms = -1;
  session->cause = session->kill_cause = NO_CAUSE;
  session->head_flags = 0;
  session->running = false;
  session->on_ring = false;
  session->answered = false;
  session->calm = 0;
  session->draining = NOT_DRAINING;
  session->notes = 0;
  session->state = WAITING;
  session->events = 0;
  session->commands = 0;
}

struct session *session_new(struct engine *engine) {
  if (engine->places == NULL && !add_chunk(engine)) return NULL;
  struct session *session = engine->places;
  engine->places = session->next_run;
  reset(session);
  atomic_fetch_add_explicit(&session->generation, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&engine->sessions, 1, memory_order_relaxed);
  return session;
}

void close_socket(int *fd, bool with_reset) {
  if (*fd < 0) return;
  const struct linger now = {.l_onoff = 1, .l_linger = 0};
  if (with_reset) setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(*fd);
  *fd = -1;
}

void flow_clear(struct flow *flow) {
  free(flow->rest);
  flow->rest = NULL;
  flow->rest_start = flow->rest_end = flow->rest_room = 0;
}

/** Closes and frees all that a session has. */
static void clear(struct engine *engine, struct session *session) {
  timer_cancel(&engine->wheel, &session->timer);
  close_socket(&session->client.fd, false);
  close_socket(&session->peer.fd, false);
  for (int at = UP; at <= DOWN; at++) {
    splice_end(engine, &session->flows[at]);
    flow_clear(&session->flows[at]);
  }
  free(session->order); // or its lane: the ring is gone then
  session->order = NULL;
  limit_free(atomic_exchange_explicit(&session->limit, NULL, memory_order_relaxed));
  session->state = FREE;
  if (session->port != NULL) port_leave(engine, session->port);
  session->port = NULL;
}

/**
 * Nobody gets the place before the turn is over, since events of this turn may still point to it; nor before the driver has
 * taken it out of the queue of events, if it is there.
 */
void session_free_later(struct engine *engine, struct session *session) {
  pthread_mutex_lock(&engine->lock);
  const bool is_queued = session->events != 0;
  if (is_queued) session->events = ORPHANED; // and not what it had to tell: that is gone in a moment
  pthread_mutex_unlock(&engine->lock);
  clear(engine, session);
  if (is_queued) return;
  session->next_command = engine->freed;
  engine->freed = session;
}

void sessions_free_now(struct engine *engine) {
  while (engine->freed != NULL) {
    struct session *session = engine->freed;
    engine->freed = session->next_command;
    session->next_run = engine->places;
    engine->places = session;
  }
}

struct session *session_at(struct engine *engine, uint32_t slot) {
  struct session *chunk = atomic_load_explicit(&engine->chunks[slot / CHUNK_SLOTS], memory_order_acquire);
  return chunk == NULL ? NULL : &chunk[slot % CHUNK_SLOTS];
}

double session_id(const struct session *session) {
  uint32_t generation = atomic_load_explicit(&session->generation, memory_order_relaxed);
  return (double)session->slot + (double)generation * MAX_SLOTS;
}
