// One direction of a relay: what is read on one side is sent on the other, and what cannot be sent stops the reading.
#define _GNU_SOURCE
#include "parts.h"

#include "kernel.h"

#include <errno.h>


bool is_blocked(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

bool has_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0;
}

struct stream stream_of(struct engine *engine, struct session *session, enum direction direction) {
  return (struct stream){
      .engine = engine,
      .session = session,
      .flow = &session->flows[direction],
      .from = direction == UP ? &session->client : &session->peer,
      .to = direction == UP ? &session->peer : &session->client,
      .direction = direction,
  };
}

void note_bytes(struct stream *stream, size_t count) {
  struct session *session = stream->session;
  // One thread writes, so that adding needs no lock.
  uint64_t bytes = atomic_load_explicit(&stream->flow->bytes, memory_order_relaxed);
  if (bytes == 0 && stream->direction == DOWN)
    session->first_byte_ms = (float)(clock_us() - session->began_us) / 1000;
  atomic_store_explicit(&stream->flow->bytes, bytes + count, memory_order_relaxed);
  session->answered = stream->direction == DOWN;
  note_moved(session, stream->engine->now_ms);
}

void note_end(struct stream *stream) {
  stream->from->flags = (uint8_t)((stream->from->flags | ENDED) & ~READABLE);
  if (stream->session->cause == NO_CAUSE) stream->session->cause = stream->direction == UP ? CLIENT_CLOSED : PEER_CLOSED;
}

void note_blocked(struct stream *stream) {
  struct side *to = stream->to;
  to->flags &= (uint8_t)~WRITABLE;
  if (to->flags & ROOM_WATCHED) return;
  // It tells at once if there is room again already.
  loop_watch_room(&stream->engine->loop, to->fd, stream->session, stream->direction == UP ? WATCHED_PEER : WATCHED_CLIENT);
  to->flags |= ROOM_WATCHED;
}

/** STEP_COPY: it was taken, whole or in part. */
static enum step send_bytes(struct stream *stream, const uint8_t *bytes, size_t count, size_t *sent) {
  ssize_t taken = kernel_send(stream->to->fd, bytes, count);
  if (taken < 0 && !is_blocked(errno)) return STEP_TO_RESET;
  *sent = taken < 0 ? 0 : (size_t)taken;
  if (*sent < count) note_blocked(stream);
  return STEP_COPY;
}

static enum step send_rest(struct stream *stream) {
  struct flow *flow = stream->flow;
  size_t sent = 0;
  if (!(stream->to->flags & WRITABLE)) return STEP_WAIT;
  enum step step = send_bytes(stream, flow->rest + flow->rest_start, flow->rest_end - flow->rest_start, &sent);
  if (step != STEP_COPY) return step;
  if (sent > 0) note_moved(stream->session, stream->engine->now_ms);
  flow->rest_start += (uint32_t)sent;
  if (flow->rest_start < flow->rest_end) return STEP_WAIT;
  flow_clear(flow);
  return STEP_COPY;
}

/** How many bytes may be read now; 0: the rate says none. */
static size_t room_of(struct stream *stream) {
  struct limit *limit = atomic_load_explicit(&stream->session->limit, memory_order_relaxed);
  if (limit == NULL || !limit_applies(limit, stream->direction)) return BUFFER_BYTES;
  size_t allowed = limit_allows(limit, stream->direction, stream->engine->now_ms);
  return allowed < BUFFER_BYTES ? allowed : BUFFER_BYTES;
}

/** An end, unless a reset hides behind it: the kernel tells of the end first, and then of nothing. */
static enum step read_end(struct stream *stream) {
  if (stream->from->flags & FAULTY && has_error(stream->from->fd)) return STEP_FROM_RESET;
  note_end(stream);
  return STEP_COPY;
}

static enum step pass_on(struct stream *stream, size_t count) {
  size_t sent = 0;
  note_bytes(stream, count);
  enum step step = send_bytes(stream, stream->engine->buffer, count, &sent);
  if (step != STEP_COPY || sent == count) return step;
  // Without memory for what could not be sent, the session cannot go on: bytes would be missing.
  if (!flow_append(stream->flow, stream->engine->buffer + sent, (uint32_t)(count - sent))) return STEP_FROM_RESET;
  return STEP_WAIT;
}

/** Nothing is left but the end: nobody has to wait for his turn to read that. */
static bool is_empty(const struct side *from) {
  uint8_t byte;
  return from->flags & HUNG_UP && recv(from->fd, &byte, 1, MSG_PEEK) == 0;
}

/** STEP_COPY: go on. */
static enum step move(struct stream *stream) {
  struct side *from = stream->from;
  struct limit *limit = atomic_load_explicit(&stream->session->limit, memory_order_relaxed);
  if (limit != NULL && limit_applies(limit, stream->direction) && is_empty(from)) {
    limit_use(limit, stream->direction, 0);
    return read_end(stream);
  }
  const size_t room = room_of(stream);
  if (room == 0) {
    stream->flow->throttled = true;
    return STEP_WAIT;
  }
  ssize_t count = kernel_recv(from->fd, stream->engine->buffer, room);
  if (limit != NULL) limit_use(limit, stream->direction, count > 0 ? (size_t)count : 0);
  if (count == 0) return read_end(stream);
  if (count < 0) {
    if (!is_blocked(errno)) return STEP_FROM_RESET;
    from->flags &= (uint8_t)~READABLE;
    return STEP_WAIT;
  }
  // A short read means that nothing is left, unless the end is: it was announced by the same edge, and no other will come.
  if ((size_t)count < room && !(from->flags & HUNG_UP)) from->flags &= (uint8_t)~READABLE;
  if (count < BUFFER_BYTES) stream->flow->full_reads = 0;
  else if (stream->flow->full_reads < STREAM_READS) stream->flow->full_reads++;
  return pass_on(stream, (size_t)count);
}

static bool is_stream(struct stream *stream) {
  struct limit *limit = atomic_load_explicit(&stream->session->limit, memory_order_relaxed);
  if (stream->flow->full_reads < STREAM_READS || stream->flow->unspliceable) return false;
  return limit == NULL || !limit_applies(limit, stream->direction);
}

/** Moves what can be moved, up to its share of this turn. */
enum step flow_run(struct stream *stream) {
  struct flow *flow = stream->flow;
  for (int moves = 0; moves < MOVES; moves++) {
    enum step step = STEP_COPY;
    if (flow->over) return STEP_OVER;
    if (flow->rest != NULL) step = send_rest(stream);
    else if (flow->pipe != NULL) step = splice_run(stream);
    else if (stream->from->flags & ENDED || stream->session->draining) return STEP_OVER;
    else if (!(stream->from->flags & READABLE) || flow->throttled) return STEP_WAIT;
    else if (!is_stream(stream) || !splice_begin(stream)) step = move(stream);
    if (step != STEP_COPY) return step;
  }
  return STEP_YIELD;
}
