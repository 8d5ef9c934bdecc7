// A gentle end of a relay: nothing more is taken in, all that was goes out, then both sides see the end.
#define _GNU_SOURCE
#include "kernel.h"
#include "parts.h"

#include <errno.h>

/** As DRAIN_MS and LINGER_MS in src/stream/drain.ts. */
#ifndef DRAIN_MS
#define DRAIN_MS 5000
#endif
#define LINGER_MS 1000

/** Its receiver is gone, so nothing is left to do for it. The other direction still has its own. */
static void drop(struct stream *stream) {
  stream->to->flags = (uint8_t)((stream->to->flags | ENDED) & ~READABLE);
  splice_end(stream->engine, stream->flow);
  flow_clear(stream->flow);
  stream->flow->over = true;
}

static void flush(struct engine *engine, struct session *session, enum direction direction) {
  struct stream stream = stream_of(engine, session, direction);
  if (stream.flow->over) return;
  switch (flow_run(&stream)) {
    case STEP_YIELD:
      run_later(engine, session);
      break;
    case STEP_OVER:
      stream.flow->over = true;
      if (!(stream.to->flags & PASSED)) shutdown(stream.to->fd, SHUT_WR);
      stream.to->flags |= PASSED;
      break;
    case STEP_TO_RESET:
      drop(&stream);
      break;
    default:
      break;
  }
}

/**
 * Closing a socket with unread bytes makes the kernel reset it, and the reset overtakes the last bytes. So what still comes is
 * read and thrown away, until the end or the time.
 */
static void discard(struct engine *engine, struct session *session, struct side *side) {
  for (int moves = 0; side->flags & READABLE && !(side->flags & ENDED); moves++) {
    if (moves == MOVES) {
      run_later(engine, session);
      return;
    }
    ssize_t count = kernel_recv(side->fd, engine->buffer, BUFFER_BYTES);
    if (count == BUFFER_BYTES || (count > 0 && side->flags & HUNG_UP)) continue;
    side->flags &= (uint8_t)~READABLE;
    if (count == 0 || (count < 0 && !is_blocked(errno))) side->flags |= ENDED;
  }
}

void drain_run(struct engine *engine, struct session *session) {
  flush(engine, session, UP);
  flush(engine, session, DOWN);
  if (session->flows[UP].over) discard(engine, session, &session->client);
  if (session->flows[DOWN].over) discard(engine, session, &session->peer);
  if (!session->flows[UP].over || !session->flows[DOWN].over) return;
  if (session->client.flags & session->peer.flags & ENDED) {
    relay_finish(engine, session, false, false);
  } else if (session->draining == FLUSHING) {
    session->draining = LINGERING;
    timer_arm(&engine->wheel, &session->timer, engine->now_ms + LINGER_MS);
  }
}

/** Who did not get all that was meant for him must not believe in a clean end. */
void drain_late(struct engine *engine, struct session *session) {
  relay_finish(engine, session, !session->flows[DOWN].over, !session->flows[UP].over);
}

void drain_begin(struct engine *engine, struct session *session) {
  if (session->state == CONNECTING) relay_end(engine, session, DRAINED);
  if (session->state != RELAYING || session->draining) return;
  if (session->cause == NO_CAUSE) session->cause = DRAINED;
  session->draining = FLUSHING;
  session->flows[UP].throttled = session->flows[DOWN].throttled = false;
  timer_arm(&engine->wheel, &session->timer, engine->now_ms + DRAIN_MS);
  if (session->on_ring) lane_leave(engine, session);
  if (session->state == RELAYING) relay_run(engine, session);
}
