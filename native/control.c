// What the driver may ask for a session. Everything here runs on the driver's thread.
#define _GNU_SOURCE
#include "parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The session of an id; NULL: there is none such, or not any more, or the driver has not heard of it. */
static struct session *find(struct engine *engine, double id) {
  // NaN is not in between either.
  if (engine->stopped || !(id >= 0 && id < MOST_IDS) || id != floor(id)) return NULL;
  const uint64_t number = (uint64_t)id;
  struct session *session = session_at(engine, (uint32_t)(number & (MAX_SLOTS - 1)));
  if (session == NULL || session->hold == UNKNOWN) return NULL;
  return atomic_load_explicit(&session->generation, memory_order_relaxed) == number >> SLOT_BITS ? session : NULL;
}

static struct session *find_held(struct engine *engine, double id) {
  struct session *session = find(engine, id);
  return session != NULL && session->hold == HELD ? session : NULL;
}

enum answer engine_more(struct engine *engine, double id, uint32_t at_least, uint32_t timeout_ms) {
  struct session *session = find_held(engine, id);
  if (session == NULL) return GONE;
  session->at_least = at_least;
  session->wait_ms = timeout_ms;
  session->hold = LENT_FOR_HEAD;
  command(engine, session, CMD_MORE);
  return DONE;
}

enum answer engine_relay(struct engine *engine, double id, const struct relay_options *to) {
  struct session *session = find_held(engine, id);
  struct order *order = NULL;
  if (session == NULL) return GONE;
  if (to->skip > session->flows[UP].rest_end) return MISUSED;
  enum answer answer = order_make(to, &order);
  if (answer != DONE) return answer;
  session->order = order;
  session->hold = LENT_TO_RELAY;
  command(engine, session, CMD_RELAY);
  return DONE;
}

static void give_back(struct engine *engine, void *argument) {
  struct session *session = argument;
  if (session->state == READING) timer_cancel(&engine->wheel, &session->timer);
  session->state = ASKED;
}

/** The bytes that no event has told of; they leave the head. */
static bool cut_untold(struct session *session, struct handed_over *out) {
  struct flow *head = &session->flows[UP];
  out->bytes_count = head->rest_end - session->told;
  out->bytes = NULL;
  if (out->bytes_count == 0) return true;
  out->bytes = malloc(out->bytes_count);
  if (out->bytes == NULL) return false;
  memcpy(out->bytes, head->rest + session->told, out->bytes_count);
  return true;
}

/** Whether the kernel's news of a reset is on its way. */
static bool is_broken(struct engine *engine, struct session *session) {
  pthread_mutex_lock(&engine->lock);
  bool broken = (session->events & event_bit(EVENT_BROKE)) != 0;
  pthread_mutex_unlock(&engine->lock);
  return broken;
}

/** Of a relay that was recalled: it had no bytes left to hand over. */
static void take_both(struct session *session, struct handed_over *out) {
  *out = (struct handed_over){.fd = session->client.fd, .peer = session->peer.fd};
  session->client.fd = session->peer.fd = -1;
  session->hold = SPENT;
}

bool engine_take_over(struct engine *engine, double id, struct handed_over *out) {
  struct session *session = find(engine, id);
  if (session != NULL && session->hold == HELD_BOTH) {
    take_both(session, out);
    return true;
  }
  if (session == NULL || (session->hold != HELD && session->hold != LENT_FOR_HEAD)) return false;
  if (session->hold == LENT_FOR_HEAD) ask(engine, give_back, session);
  if (!cut_untold(session, out)) return false;
  loop_forget(&engine->loop, session->client.fd);
  out->fd = session->client.fd;
  out->peer = -1;
  out->flags = session->head_flags & (HEAD_ENDED | HEAD_RESET);
  if (is_broken(engine, session)) out->flags |= HEAD_RESET;
  session->client.fd = -1;
  session->hold = SPENT;
  return true;
}

bool engine_close(struct engine *engine, double id, bool reset) {
  struct session *session = find_held(engine, id);
  if (session == NULL) return false;
  session->hold = SPENT;
  command(engine, session, reset ? CMD_RESET : CMD_CLOSE);
  return true;
}

/** Who ends a relay that was recalled, and whose sockets nobody has taken, means the relay: it has them again, and ends as others do. */
static void lend_again(struct engine *engine, struct session *session) {
  if (session->hold != HELD_BOTH) return;
  session->hold = LENT_TO_RELAY;
  command(engine, session, CMD_RESUME);
}

enum answer engine_kill(struct engine *engine, double id, double cause) {
  if (!(cause >= 0 && cause < CAUSES) || cause != floor(cause)) return MISUSED;
  struct session *session = find(engine, id);
  if (session != NULL) lend_again(engine, session);
  if (session == NULL || (session->hold != LENT_TO_RELAY && session->hold != LENT_FOR_HEAD)) return GONE;
  if (session->kill_cause != NO_CAUSE) return DONE; // the first one counts
  session->kill_cause = (uint8_t)cause;
  command(engine, session, CMD_KILL);
  return DONE;
}

bool engine_drain(struct engine *engine, double id) {
  struct session *session = find(engine, id);
  if (session != NULL) lend_again(engine, session);
  if (session == NULL || session->hold != LENT_TO_RELAY) return false;
  if (session->kill_cause != NO_CAUSE || session->notes & GIVEN_UP) return true;
  session->notes |= GIVEN_UP;
  command(engine, session, CMD_DRAIN);
  return true;
}

bool engine_recall(struct engine *engine, double id, uint32_t rest_ms) {
  struct session *session = find(engine, id);
  if (session == NULL || session->hold != LENT_TO_RELAY || session->kill_cause != NO_CAUSE) return false;
  if (session->notes != CONNECTED) return false; // not yet, not any more, or not once more
  session->notes |= ASKED_BACK;
  session->rest_ms = rest_ms;
  command(engine, session, CMD_RECALL);
  return true;
}

bool engine_limit(struct engine *engine, double id, double up, double down) {
  struct session *session = find(engine, id);
  if (session == NULL || session->hold == SPENT) return false;
  struct limit *limit = atomic_load_explicit(&session->limit, memory_order_relaxed);
  bool is_new = limit == NULL;
  if (is_new && (limit = limit_new()) == NULL) return false;
  limit_set(limit, up, down);
  if (is_new) atomic_store_explicit(&session->limit, limit, memory_order_release);
  command(engine, session, CMD_LIMIT);
  return true;
}

bool engine_share(struct engine *engine, double id, double number) {
  struct session *session = find_held(engine, id);
  struct bucket *bucket = bucket_at(engine, number);
  if (session == NULL || bucket == NULL) return false;
  struct limit *limit = atomic_load_explicit(&session->limit, memory_order_relaxed);
  const bool is_new = limit == NULL;
  if (is_new && (limit = limit_new()) == NULL) return false;
  const bool shares = limit_share(limit, bucket);
  if (is_new) atomic_store_explicit(&session->limit, limit, memory_order_release);
  return shares;
}

static double bytes_of(const struct session *session, enum direction direction) {
  return (double)atomic_load_explicit(&session->flows[direction].bytes, memory_order_relaxed);
}

bool engine_counters(struct engine *engine, double id, struct counters *out) {
  struct session *session = find(engine, id);
  if (session == NULL) return false;
  const int32_t idle_ms = (int32_t)idle_ms_of(session, clock_us() / 1000); // a byte may move after the clock was read
  *out = (struct counters){
      .bytes_up = bytes_of(session, UP),
      .bytes_down = bytes_of(session, DOWN),
      .idle_ms = (double)(idle_ms > 0 ? idle_ms : 0),
  };
  return true;
}

bool engine_addresses(struct engine *engine, double id, struct address_pair *out) {
  struct session *session = find(engine, id);
  if (session == NULL) return false;
  const struct silent like = {.local_port = port_bound(session->port), .ends = session->ends};
  silent_addresses(&like, out);
  if (like.ends.family == AF_UNIX) snprintf(out->local, sizeof out->local, "unix:%s", port_path(session->port));
  return true;
}

bool engine_release(struct engine *engine, double id) {
  struct session *session = find(engine, id);
  if (session == NULL || session->hold == LENT_FOR_HEAD || session->hold == LENT_TO_RELAY) return false;
  const bool is_open = session->hold == HELD || session->hold == HELD_BOTH;
  session->hold = UNKNOWN;
  atomic_fetch_sub_explicit(&engine->sessions, 1, memory_order_relaxed);
  if (is_open) command(engine, session, CMD_CLOSE);
  command(engine, session, CMD_RELEASE);
  return true;
}
