// The life of a relay, from the peer's yes to the last close.
#define _GNU_SOURCE
#include "parts.h"

#include <netinet/tcp.h>

/** When a peer has been silent for so long, the kernel begins to ask whether it is still there. */
#define KEEP_ALIVE_MS 60000

/** Idle sessions cost nothing between the looks at them: activity only writes down when it was. */
static void look_again(struct engine *engine, struct session *session) {
  const int64_t now_ms = engine->now_ms;
  const int64_t moved_ms = now_ms - idle_ms_of(session, now_ms);
  struct limit *limit = atomic_load_explicit(&session->limit, memory_order_relaxed);
  int64_t due_ms = session->wait_ms == NEVER_MS ? INT64_MAX : moved_ms + session->wait_ms;
  if (!(session->peer.flags & PROBED) && moved_ms + KEEP_ALIVE_MS < due_ms) due_ms = moved_ms + KEEP_ALIVE_MS;
  for (int at = UP; limit != NULL && at <= DOWN; at++) {
    if (!session->flows[at].throttled) continue;
    int64_t free_ms = now_ms + limit_wait_ms(limit, (enum direction)at, now_ms);
    if (free_ms < due_ms) due_ms = free_ms;
  }
  if (due_ms != INT64_MAX) timer_arm(&engine->wheel, &session->timer, due_ms);
}

void relay_begin(struct engine *engine, struct session *session) {
  session->state = RELAYING;
  session->client.flags |= WRITABLE;
  if (session->head_flags & HEAD_ENDED) {
    session->cause = CLIENT_CLOSED;
    session->client.flags |= ENDED;
  }
  if (session->flows[UP].rest_start == session->flows[UP].rest_end) flow_clear(&session->flows[UP]);
  note_moved(session, engine->now_ms);
  tell(engine, session, EVENT_CONNECTED);
  relay_run(engine, session);
  if (session->state == RELAYING) look_again(engine, session);
}

void relay_finish(struct engine *engine, struct session *session, bool reset_client, bool reset_peer) {
  timer_cancel(&engine->wheel, &session->timer);
  if (session->on_ring) lane_drop(engine, session);
  for (int at = UP; at <= DOWN; at++) {
    splice_end(engine, &session->flows[at]);
    flow_clear(&session->flows[at]);
  }
  close_socket(&session->client.fd, reset_client);
  close_socket(&session->peer.fd, reset_peer);
  session->state = OVER;
  tell(engine, session, EVENT_ENDED);
}

void relay_end(struct engine *engine, struct session *session, enum cause cause) {
  if (session->cause == NO_CAUSE) session->cause = (uint8_t)cause;
  relay_finish(engine, session, false, false);
}

void relay_reset(struct engine *engine, struct session *session, bool from_client) {
  if (session->cause == NO_CAUSE) session->cause = from_client ? CLIENT_RESET : PEER_RESET;
  relay_finish(engine, session, !from_client, from_client);
}

/** False when the relay is over. */
static bool pass_end(struct engine *engine, struct session *session, struct stream *stream) {
  stream->flow->over = true;
  if (session->flows[UP].over && session->flows[DOWN].over) {
    relay_finish(engine, session, false, false); // the close says it, too
    return false;
  }
  if (!(stream->to->flags & PASSED)) shutdown(stream->to->fd, SHUT_WR);
  stream->to->flags |= PASSED;
  return true;
}

/** False when the relay is over. */
static bool run_direction(struct engine *engine, struct session *session, enum direction direction) {
  struct stream stream = stream_of(engine, session, direction);
  if (stream.flow->over) return true;
  switch (flow_run(&stream)) {
    case STEP_YIELD:
      run_later(engine, session);
      return true;
    case STEP_OVER:
      return pass_end(engine, session, &stream);
    case STEP_FROM_RESET:
      relay_reset(engine, session, direction == UP);
      return false;
    case STEP_TO_RESET:
      relay_reset(engine, session, direction == DOWN);
      return false;
    default:
      return true;
  }
}

/** An error was announced, and no read or write has met it: nobody reads on that side just now. */
static bool meets_fault(struct engine *engine, struct session *session, struct side *side) {
  if (!(side->flags & FAULTY)) return false;
  side->flags &= (uint8_t)~FAULTY;
  if (!has_error(side->fd)) return false;
  relay_reset(engine, session, side == &session->client);
  return true;
}

static void note_throttle(struct engine *engine, struct session *session) {
  if (session->flows[UP].throttled || session->flows[DOWN].throttled) look_again(engine, session);
}

void relay_run(struct engine *engine, struct session *session) {
  if (session->on_ring) return; // the ring tells what there is to do
  if (session->draining) {
    drain_run(engine, session);
    return;
  }
  if (!run_direction(engine, session, UP) || !run_direction(engine, session, DOWN)) return;
  if (meets_fault(engine, session, &session->client) || meets_fault(engine, session, &session->peer)) return;
  note_throttle(engine, session);
  if (engine->lanes != NULL) lane_offer(engine, session);
}

static void set_keep_alive(struct side *peer) {
  const int on = 1;
  const int seconds = KEEP_ALIVE_MS / 1000;
  peer->flags |= PROBED;
  // On a unix socket this fails, and is not needed.
  if (setsockopt(peer->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0) return;
  setsockopt(peer->fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
}

void relay_late(struct engine *engine, struct session *session) {
  if (session->draining) {
    drain_late(engine, session);
    return;
  }
  const uint32_t idle_ms = idle_ms_of(session, engine->now_ms);
  if (session->wait_ms != NEVER_MS && idle_ms >= session->wait_ms) {
    relay_end(engine, session, IDLE_TIMEOUT);
    return;
  }
  if (idle_ms >= KEEP_ALIVE_MS) set_keep_alive(&session->peer);
  session->flows[UP].throttled = session->flows[DOWN].throttled = false;
  relay_run(engine, session);
  if (session->state == RELAYING && !timer_is_armed(&session->timer)) look_again(engine, session);
}

void relay_watch(struct engine *engine, struct session *session) {
  const unsigned unknown = READABLE | WRITABLE;
  session->client.flags = (uint8_t)((session->client.flags & ~unknown) | ROOM_WATCHED);
  session->peer.flags = (uint8_t)((session->peer.flags & ~unknown) | ROOM_WATCHED);
  if (!loop_watch(&engine->loop, session->client.fd, session, WATCHED_CLIENT, true) ||
      !loop_watch(&engine->loop, session->peer.fd, session, WATCHED_PEER, true))
    relay_reset(engine, session, true); // no memory: nothing can be done for it
}

/** The rate has changed: who waits for its share looks again. */
void relay_limit(struct engine *engine, struct session *session) {
  if (session->state != RELAYING) return;
  if (session->on_ring) lane_leave(engine, session);
  session->flows[UP].throttled = session->flows[DOWN].throttled = false;
  relay_run(engine, session);
}
