// Events on their way to the driver.
#define _GNU_SOURCE
#include "parts.h"

#include <string.h>

/** What one `engine_take` has put so far. */
struct filling {
  const struct taken *to;
  size_t events;
  size_t bytes;
};

static double *begin_event(struct filling *filling, const struct session *session, enum event_kind kind) {
  double *event = filling->to->events + EVENT_FIELDS * filling->events++;
  memset(event, 0, EVENT_FIELDS * sizeof *event);
  event[0] = kind;
  event[1] = session_id(session);
  event[2] = session->slot;
  return event;
}

static void put_head(struct filling *filling, struct session *session, double at[3]) {
  const struct flow *head = &session->flows[UP];
  const uint32_t count = head->rest_end - session->told;
  at[0] = session->head_flags;
  at[1] = (double)filling->bytes;
  at[2] = count;
  if (count > 0) memcpy(filling->to->bytes + filling->bytes, head->rest + session->told, count);
  filling->bytes += count;
  session->told = head->rest_end;
}

static void put_open(struct filling *filling, struct session *session) {
  double *event = begin_event(filling, session, EVENT_OPEN);
  event[3] = port_number(session->port);
  put_head(filling, session, event + 4);
  event[7] = (double)session->began_us / 1000;
  event[8] = ip4_number(&session->ends, session->ends.remote_ip);
  event[9] = session->ends.remote_port;
  event[10] = ip4_number(&session->ends, session->ends.local_ip);
  event[11] = port_bound(session->port);
  session->hold = HELD;
}

static void put_answer(struct filling *filling, struct session *session) {
  if (session->hold != LENT_FOR_HEAD) return; // taken over meanwhile
  if (session->kill_cause != NO_CAUSE) session->head_flags |= HEAD_RESET;
  put_head(filling, session, begin_event(filling, session, EVENT_HEAD) + 4);
  session->hold = HELD;
}

static void put_counts(const struct session *session, double at[2]) {
  for (int way = UP; way <= DOWN; way++)
    at[way] = (double)atomic_load_explicit(&session->flows[way].bytes, memory_order_relaxed);
}

static void put_ended(struct filling *filling, struct session *session, unsigned cause) {
  double *event = begin_event(filling, session, EVENT_ENDED);
  event[3] = cause;
  put_counts(session, event + 4);
  event[6] = (double)session->first_byte_ms;
  session->hold = SPENT;
}

static void put_connected(struct filling *filling, struct session *session) {
  begin_event(filling, session, EVENT_CONNECTED)[3] = (double)session->connect_ms;
  session->notes |= CONNECTED;
}

/** Who has ended it meanwhile is obeyed: it gets its sockets back, and hears again what it could not follow. */
static void put_recalled(struct engine *engine, struct filling *filling, struct session *session) {
  const bool is_killed = session->kill_cause != NO_CAUSE;
  const bool is_given = session->recalled && !is_killed && !(session->notes & GIVEN_UP);
  double *event = begin_event(filling, session, EVENT_RECALLED);
  event[3] = is_given;
  put_counts(session, event + 4);
  event[6] = is_given && session->answered;
  session->notes &= (uint8_t)~ASKED_BACK;
  if (is_given) session->hold = HELD_BOTH;
  if (is_given || !session->recalled) return;
  command(engine, session, CMD_RESUME);
  command(engine, session, is_killed ? CMD_KILL : CMD_DRAIN);
}

static void put_failed(struct engine *engine, struct filling *filling, struct session *session) {
  if (session->kill_cause != NO_CAUSE || session->notes & GIVEN_UP) {
    // It was ended before it was known that the connect had failed: who ended it was promised an end.
    put_ended(filling, session, session->kill_cause != NO_CAUSE ? session->kill_cause : DRAINED);
    command(engine, session, CMD_CLOSE);
    return;
  }
  begin_event(filling, session, EVENT_FAILED)[3] = session->error;
  session->hold = HELD;
}

/** In the order in which they can have happened. Those that the driver has made void are dropped. */
static void put_events(struct engine *engine, struct filling *filling, struct session *session, unsigned events) {
  if (events & event_bit(EVENT_OPEN)) put_open(filling, session);
  if (events & event_bit(EVENT_HEAD)) put_answer(filling, session);
  if (events & event_bit(EVENT_CONNECTED)) put_connected(filling, session);
  if (events & event_bit(EVENT_RECALLED)) put_recalled(engine, filling, session);
  if (events & event_bit(EVENT_FAILED) && session->hold == LENT_TO_RELAY) put_failed(engine, filling, session);
  if (events & event_bit(EVENT_ENDED)) put_ended(filling, session, session->cause);
  if (events & event_bit(EVENT_BROKE) && session->hold == HELD && !(session->head_flags & HEAD_RESET)) {
    begin_event(filling, session, EVENT_BROKE);
  }
}

/** Lock: whether there is room for all that a session has to tell. */
static bool has_room(const struct filling *filling, const struct session *session) {
  size_t events = (size_t)__builtin_popcount(session->events);
  size_t bytes = 0;
  if (session->events & (event_bit(EVENT_OPEN) | event_bit(EVENT_HEAD)))
    bytes = session->flows[UP].rest_end - session->told;
  return filling->events + events <= filling->to->events_room && filling->bytes + bytes <= filling->to->bytes_room;
}

/** Lock: the first in the queue, taken out of it; NULL: none, or no room for it. */
static struct session *pop(struct engine *engine, const struct filling *filling, unsigned *events) {
  struct session *session = engine->events.first;
  if (session == NULL || !has_room(filling, session)) return NULL;
  engine->events.first = session->next_event;
  if (session->next_event == NULL) engine->events.last = NULL;
  *events = session->events;
  session->events = 0;
  return session;
}

static void put_troubles(struct engine *engine, struct filling *filling) {
  while (filling->events < filling->to->events_room &&
         port_trouble(engine, filling->to->events + EVENT_FIELDS * filling->events)) {
    filling->events++;
  }
}

/** Lock: empty means that the driver must be woken for the next one. */
static bool is_drained(struct engine *engine) { return engine->events.first == NULL && engine->troubled == NULL; }

static void fill(struct engine *engine, struct filling *filling) {
  unsigned events = 0;
  struct session *session;
  pthread_mutex_lock(&engine->lock);
  put_troubles(engine, filling);
  while ((session = pop(engine, filling, &events)) != NULL) {
    pthread_mutex_unlock(&engine->lock);
    if (events == ORPHANED) command(engine, session, CMD_RELEASE); // now its place can be given to another
    else put_events(engine, filling, session, events);
    pthread_mutex_lock(&engine->lock);
  }
  if (is_drained(engine)) engine->woken = false;
  pthread_mutex_unlock(&engine->lock);
}

size_t engine_take(struct engine *engine, const struct taken *to) {
  struct filling filling = {.to = to};
  if (!engine->stopped) fill(engine, &filling);
  return filling.events;
}

bool engine_has_leftovers(struct engine *engine) {
  if (engine->stopped) return false;
  pthread_mutex_lock(&engine->lock);
  bool left = engine->woken && !is_drained(engine);
  pthread_mutex_unlock(&engine->lock);
  return left;
}
