// A client's first bytes: read once, kept for the relay, and told to the driver.
#define _GNU_SOURCE
#include "kernel.h"
#include "parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool flow_reserve(struct flow *flow, uint32_t bytes) {
  if (flow->rest_room - flow->rest_end >= bytes) return true;
  uint8_t *rest = realloc(flow->rest, (size_t)flow->rest_end + bytes);
  if (rest == NULL) return false;
  flow->rest = rest;
  flow->rest_room = flow->rest_end + bytes;
  return true;
}

bool flow_append(struct flow *flow, const uint8_t *bytes, uint32_t count) {
  if (!flow_reserve(flow, count)) return false;
  memcpy(flow->rest + flow->rest_end, bytes, count);
  flow->rest_end += count;
  return true;
}

/** Gives the session to the driver. */
void head_over(struct engine *engine, struct session *session, unsigned flags) {
  enum event_kind kind = session->state == WAITING ? EVENT_OPEN : EVENT_HEAD;
  timer_cancel(&engine->wheel, &session->timer);
  session->head_flags = (uint8_t)((session->head_flags & (HEAD_ENDED | HEAD_RESET)) | flags);
  session->state = ASKED;
  tell(engine, session, kind);
}

/** Once doubled, so that a client which sends byte by byte makes us copy each byte twice at most. */
static bool append_doubling(struct flow *head, const uint8_t *bytes, uint32_t count, uint32_t most) {
  uint32_t room = head->rest_room * 2;
  if (head->rest_end > 0 && head->rest_room - head->rest_end < count) {
    if (room > most) room = most;
    if (room > head->rest_end + count && !flow_reserve(head, room - head->rest_end)) return false;
  }
  return flow_append(head, bytes, count);
}

/** One read. False: nothing more is to be had now. */
static bool read_once(struct engine *engine, struct session *session, uint32_t most) {
  struct flow *head = &session->flows[UP];
  struct side *client = &session->client;
  uint32_t room = most - head->rest_end < BUFFER_BYTES ? most - head->rest_end : BUFFER_BYTES;
  ssize_t count = kernel_recv(client->fd, engine->buffer, room);
  if (count > 0) {
    if ((size_t)count < room && !(client->flags & HUNG_UP)) client->flags &= (uint8_t)~READABLE;
    if (append_doubling(head, engine->buffer, (uint32_t)count, most)) return (client->flags & READABLE) != 0;
    session->head_flags |= HEAD_RESET; // no memory: bytes are lost, so the session is
    return false;
  }
  if (count < 0 && is_blocked(errno)) {
    client->flags &= (uint8_t)~READABLE;
    return false;
  }
  client->flags = (uint8_t)((client->flags | ENDED) & ~READABLE);
  // An end may hide a reset that came right behind it.
  if (count < 0 || (client->flags & FAULTY && has_error(client->fd))) session->head_flags |= HEAD_RESET;
  else session->head_flags |= HEAD_ENDED;
  return false;
}

/** The most that is read for the driver before it is asked again. */
static uint32_t most_of(const struct engine *engine, const struct session *session) {
  uint32_t most = port_head_bytes(session->port);
  if (session->at_least > most) most = session->at_least;
  size_t shared = session->told + engine->options.bytes_room;
  return most > shared ? (uint32_t)shared : most;
}

static bool is_enough(const struct session *session, uint32_t most) {
  uint32_t count = session->flows[UP].rest_end;
  return session->head_flags & (HEAD_ENDED | HEAD_RESET) || count >= session->at_least || count >= most;
}

/** True when there is something to tell. */
static bool read_head(struct engine *engine, struct session *session) {
  const uint32_t most = most_of(engine, session);
  while (session->client.flags & READABLE && session->flows[UP].rest_end < most) {
    if (!read_once(engine, session, most)) break;
    if (session->state == WAITING) break; // the first bytes are told as soon as there are any
  }
  return is_enough(session, most);
}

void head_ready(struct engine *engine, struct session *session) {
  if (read_head(engine, session)) head_over(engine, session, 0);
}

static void wait_until(struct engine *engine, struct session *session, uint32_t wait_ms) {
  if (wait_ms != NEVER_MS) timer_arm(&engine->wheel, &session->timer, engine->now_ms + wait_ms);
}

/** A client was accepted. Its bytes are often there already; what the kernel tells of the socket is for later. */
void head_begin(struct engine *engine, struct session *session) {
  const bool waits = port_waits(session->port);
  session->at_least = 1;
  session->client.flags = READABLE | WRITABLE;
  bool is_open = !waits || read_head(engine, session);
  if (!loop_watch(&engine->loop, session->client.fd, session, WATCHED_CLIENT, false)) {
    session->head_flags |= HEAD_RESET; // no memory: nothing can be done for this client
    is_open = true;
  }
  if (is_open) head_over(engine, session, 0); // last: now the driver has it
  else wait_until(engine, session, port_first_byte_ms(session->port));
}

void head_more(struct engine *engine, struct session *session) {
  session->state = READING;
  wait_until(engine, session, session->wait_ms);
  head_ready(engine, session);
}
