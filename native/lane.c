// Relays of messages on io_uring: the kernel reads into buffers of the ring by itself, and what was read in one turn, of all
// sessions, is sent with the system call that waits for more. A session comes here when it has shown that it moves messages,
// and goes back to epoll with whatever is unusual: an end, a stream, a limit, a receiver that does not take what there is.
#define _GNU_SOURCE
#include "kernel.h"
#include "parts.h"
#include "ring.h"

#include <errno.h>
#include <stdlib.h>

/** Turns of messages after which moving to the ring pays: it costs as much as some messages. */
#ifndef CALM_TURNS
#define CALM_TURNS 8u
#endif
/** Waiting to be sent in one direction, and it is a stream. */
#define STREAM_BUFFERS 4
/** Sessions on the ring, so that what can be done at once fits into its queue; the others stay with epoll. */
#define MAX_LANES 2048

/** One direction. Its buffers wait in a row; the first may be on its way. */
struct track {
  uint64_t tag; // of the reading
  uint16_t first;
  uint16_t last;
  uint16_t count;
  uint16_t sent; // of the first
  bool reads;
  bool sends;
  bool starves; // there was no buffer to read into
  bool broken;  // by a reset, which can be read only once
};

struct lane {
  struct session *session;
  struct track tracks[2];
  struct lane *next_starving;
  bool leaves;
  bool recalled; // then it is looked whether it is at rest
  bool starves; // in the list
};

struct lanes {
  struct ring *ring;
  struct lane *starving; // the first of a row
  struct lane *last_starving;
  uint32_t held; // buffers that the kernel does not have
  uint32_t count;
  uint32_t pending; // requests that the kernel has not ended
  bool polls;       // epoll is asked for
  uint16_t next[RING_BUFFERS];
  uint16_t length[RING_BUFFERS];
};

/** A tag: what, the direction, the session's place, and its generation, as much of it as fits. */
enum { TAG_NONE, TAG_EPOLL, TAG_RECEIVE, TAG_SEND };
#define TAG_BITS 2
#define GENERATION_SHIFT (TAG_BITS + 1 + SLOT_BITS)
#define BUFFER_SHIFT 48
#define GENERATION_MASK ((1u << (BUFFER_SHIFT - GENERATION_SHIFT)) - 1)

static uint64_t generation_of(const struct session *session) {
  return atomic_load_explicit(&session->generation, memory_order_relaxed) & GENERATION_MASK;
}

static uint64_t tag_of(const struct session *session, enum direction direction, uint64_t what) {
  return what | (uint64_t)direction << TAG_BITS | (uint64_t)session->slot << (TAG_BITS + 1) |
         generation_of(session) << GENERATION_SHIFT;
}

/** NULL: the session is not on the ring any more. */
static struct lane *lane_of(struct engine *engine, uint64_t tag) {
  struct session *session = session_at(engine, (uint32_t)(tag >> (TAG_BITS + 1)) & (MAX_SLOTS - 1));
  if (generation_of(session) != (tag >> GENERATION_SHIFT & GENERATION_MASK)) return NULL;
  return session->on_ring ? session->lane : NULL;
}

struct lanes *lanes_open(void) {
  struct lanes *lanes = calloc(1, sizeof *lanes);
  if (lanes == NULL) return NULL;
  lanes->ring = ring_open();
  if (lanes->ring != NULL) return lanes;
  const int error = errno;
  free(lanes);
  errno = error;
  return NULL;
}

void lanes_close(struct lanes *lanes) {
  if (lanes == NULL) return;
  ring_close(lanes->ring);
  free(lanes);
}

bool lanes_are_used(const struct lanes *lanes) { return lanes != NULL && lanes->pending > 0; }

static void receive(struct lanes *lanes, struct lane *lane, enum direction direction) {
  const struct session *session = lane->session;
  struct track *track = &lane->tracks[direction];
  ring_receive(lanes->ring, direction == UP ? session->client.fd : session->peer.fd, track->tag);
  track->reads = true;
  track->starves = false;
  lanes->pending++;
}

static void send_first(struct lanes *lanes, struct lane *lane, enum direction direction) {
  const struct session *session = lane->session;
  struct track *track = &lane->tracks[direction];
  const uint16_t buffer = track->first;
  const uint32_t left = (uint32_t)(lanes->length[buffer] - track->sent);
  const uint64_t tag = tag_of(session, direction, TAG_SEND) | (uint64_t)buffer << BUFFER_SHIFT;
  ring_send(lanes->ring, direction == UP ? session->peer.fd : session->client.fd, buffer, track->sent, left, tag);
  track->sends = true;
  lanes->pending++;
}

static void push(struct lanes *lanes, struct track *track, uint16_t buffer, uint16_t length) {
  lanes->next[buffer] = NO_BUFFER;
  lanes->length[buffer] = length;
  if (track->first == NO_BUFFER) track->first = buffer;
  else lanes->next[track->last] = buffer;
  track->last = buffer;
  track->count++;
  lanes->held++;
}

static void give(struct lanes *lanes, uint16_t buffer) {
  lanes->held--;
  ring_give(lanes->ring, buffer);
}

static void pop(struct lanes *lanes, struct track *track) {
  const uint16_t buffer = track->first;
  track->first = lanes->next[buffer];
  track->count--;
  track->sent = 0;
  give(lanes, buffer);
}

static bool is_calm(const struct session *session) {
  const unsigned unusual = ENDED | HUNG_UP | FAULTY;
  for (int at = UP; at <= DOWN; at++) {
    const struct flow *flow = &session->flows[at];
    if (flow->rest != NULL || flow->pipe != NULL || flow->over || flow->full_reads > 0) return false;
  }
  const struct limit *limit = atomic_load_explicit(&session->limit, memory_order_relaxed);
  if (limit != NULL && (limit_applies(limit, UP) || limit_applies(limit, DOWN))) return false;
  return !session->running && !((session->client.flags | session->peer.flags) & unusual);
}

static void join(struct engine *engine, struct session *session) {
  struct lanes *lanes = engine->lanes;
  struct lane *lane = calloc(1, sizeof *lane);
  if (lane == NULL) return;
  lane->session = session;
  session->lane = lane;
  session->on_ring = true;
  lanes->count++;
  loop_forget(&engine->loop, session->client.fd);
  loop_forget(&engine->loop, session->peer.fd);
  for (int at = UP; at <= DOWN; at++) {
    lane->tracks[at].first = lane->tracks[at].last = NO_BUFFER;
    lane->tracks[at].tag = tag_of(session, (enum direction)at, TAG_RECEIVE);
    receive(lanes, lane, (enum direction)at);
  }
}

void lane_offer(struct engine *engine, struct session *session) {
  if (!is_calm(session)) session->calm = 0;
  else if (session->calm < CALM_TURNS) session->calm++;
  else if (engine->lanes->count < MAX_LANES) join(engine, session);
}

static void starve(struct lanes *lanes, struct lane *lane, enum direction direction) {
  lane->tracks[direction].starves = true;
  if (lane->starves) return;
  lane->starves = true;
  lane->next_starving = NULL;
  if (lanes->starving == NULL) lanes->starving = lane;
  else lanes->last_starving->next_starving = lane;
  lanes->last_starving = lane;
}

/** As many as there are buffers again. There will be: those that are held are on their way to others. */
static void feed(struct lanes *lanes) {
  for (uint32_t given = lanes->held; given < RING_BUFFERS && lanes->starving != NULL;) {
    struct lane *lane = lanes->starving;
    lanes->starving = lane->next_starving;
    lane->starves = false;
    for (int at = UP; at <= DOWN; at++) {
      if (!lane->tracks[at].starves || lane->leaves) continue;
      receive(lanes, lane, (enum direction)at);
      given++;
    }
  }
}

static void forget(struct lanes *lanes, struct lane *lane) {
  struct lane *before = NULL;
  if (lane->starves) {
    for (struct lane *at = lanes->starving; at != lane; at = at->next_starving) before = at;
    if (before == NULL) lanes->starving = lane->next_starving;
    else before->next_starving = lane->next_starving;
    if (lanes->last_starving == lane) lanes->last_starving = before;
  }
  lane->session->lane = NULL;
  lane->session->on_ring = false;
  lanes->count--;
  free(lane);
}

void lane_drop(struct engine *engine, struct session *session) {
  struct lanes *lanes = engine->lanes;
  for (int at = UP; at <= DOWN; at++) {
    struct track *track = &session->lane->tracks[at];
    if (track->reads) ring_cancel(lanes->ring, track->tag);
    if (track->sends) { // the kernel gives it back
      track->first = lanes->next[track->first];
      track->count--;
    }
    while (track->count > 0) pop(lanes, track);
  }
  forget(lanes, session->lane);
  ring_submit(lanes->ring); // the numbers of the sockets may soon be those of others
}

/** What was read and not sent becomes the flow's rest. */
static bool unload(struct lanes *lanes, struct track *track, struct flow *flow) {
  bool done = true;
  while (track->count > 0) {
    const uint32_t length = lanes->length[track->first];
    done = done && flow_append(flow, ring_bytes(lanes->ring, track->first) + track->sent, length - track->sent);
    pop(lanes, track);
  }
  return done;
}

/** The reset overtakes what the other side does not take now. */
static void pass_rest(struct engine *engine, struct session *session, enum direction direction) {
  const struct stream stream = stream_of(engine, session, direction);
  const struct flow *flow = stream.flow;
  if (flow->rest != NULL) kernel_send(stream.to->fd, flow->rest, flow->rest_end);
}

/** Goes on with leaving, once nothing of it is in the kernel. */
static void settle(struct engine *engine, struct session *session) {
  struct lane *lane = session->on_ring ? session->lane : NULL;
  bool has_all = true;
  bool broken[2];
  if (lane == NULL || !lane->leaves) return;
  const bool recalled = lane->recalled;
  for (int at = UP; at <= DOWN; at++) {
    if (lane->tracks[at].reads || lane->tracks[at].sends) return;
  }
  for (int at = UP; at <= DOWN; at++) {
    has_all = unload(engine->lanes, &lane->tracks[at], &session->flows[at]) && has_all;
    broken[at] = lane->tracks[at].broken;
  }
  forget(engine->lanes, lane);
  session->calm = 0;
  if (broken[UP]) pass_rest(engine, session, UP);
  else if (broken[DOWN]) pass_rest(engine, session, DOWN);
  if (broken[UP] || broken[DOWN] || !has_all) relay_reset(engine, session, !broken[DOWN]);
  else relay_watch(engine, session);
  if (recalled) recall_look(engine, session);
}

static void begin_leaving(struct lanes *lanes, struct lane *lane) {
  if (lane->leaves) return;
  lane->leaves = true;
  for (int at = UP; at <= DOWN; at++) {
    if (lane->tracks[at].reads) ring_cancel(lanes->ring, lane->tracks[at].tag);
  }
}

void lane_leave(struct engine *engine, struct session *session) {
  begin_leaving(engine->lanes, session->lane);
  settle(engine, session);
}

void lane_recall(struct engine *engine, struct session *session) {
  session->lane->recalled = true;
  lane_leave(engine, session);
}

static void take_bytes(struct engine *engine, struct lane *lane, enum direction direction, const struct completion *done) {
  struct track *track = &lane->tracks[direction];
  struct stream stream = stream_of(engine, lane->session, direction);
  note_bytes(&stream, (size_t)done->result);
  push(engine->lanes, track, done->buffer, (uint16_t)done->result);
  if (lane->leaves) return;
  if (track->count >= STREAM_BUFFERS) {
    begin_leaving(engine->lanes, lane);
    return;
  }
  if (!track->sends) send_first(engine->lanes, lane, direction);
  if (!track->reads) receive(engine->lanes, lane, direction);
}

static void on_received(struct engine *engine, struct lane *lane, enum direction direction, const struct completion *done) {
  struct lanes *lanes = engine->lanes;
  struct track *track = &lane->tracks[direction];
  if (!done->more) track->reads = false;
  if (done->result > 0) {
    take_bytes(engine, lane, direction, done);
    return;
  }
  if (done->buffer != NO_BUFFER) ring_give(lanes->ring, done->buffer);
  if (done->result == -ENOBUFS) {
    starve(lanes, lane, direction);
    return;
  }
  // An end is read once more by those who know all about ends; a reset cannot be.
  const bool is_reset = done->result < 0 && done->result != -ECANCELED && !is_blocked(-done->result);
  track->broken = track->broken || is_reset;
  begin_leaving(lanes, lane);
}

static void on_sent(struct engine *engine, struct lane *lane, enum direction direction, int result) {
  struct lanes *lanes = engine->lanes;
  struct track *track = &lane->tracks[direction];
  track->sends = false;
  if (result < 0 && !is_blocked(-result)) {
    relay_reset(engine, lane->session, direction == DOWN);
    return;
  }
  if (result > 0) track->sent = (uint16_t)(track->sent + result);
  if (track->sent < lanes->length[track->first]) {
    begin_leaving(lanes, lane);
    return;
  }
  pop(lanes, track);
  if (track->first != NO_BUFFER && !lane->leaves) send_first(lanes, lane, direction);
}

static void complete(struct engine *engine, const struct completion *done) {
  struct lanes *lanes = engine->lanes;
  const unsigned what = done->tag & ((1u << TAG_BITS) - 1);
  const enum direction direction = done->tag >> TAG_BITS & 1 ? DOWN : UP;
  if (what == TAG_NONE) return; // a cancel that came too late
  if (!done->more) lanes->pending--;
  struct lane *lane = lane_of(engine, done->tag);
  if (lane == NULL) {
    const uint16_t buffer = what == TAG_SEND ? (uint16_t)(done->tag >> BUFFER_SHIFT) : done->buffer;
    if (what == TAG_SEND) give(lanes, buffer);
    else if (buffer != NO_BUFFER) ring_give(lanes->ring, buffer);
    return;
  }
  struct session *session = lane->session;
  if (what == TAG_RECEIVE) on_received(engine, lane, direction, done);
  else on_sent(engine, lane, direction, done->result);
  settle(engine, session);
}

void lanes_wait(struct engine *engine, int timeout_ms) {
  struct lanes *lanes = engine->lanes;
  if (!lanes->polls) ring_poll(lanes->ring, engine->loop.epoll, TAG_EPOLL);
  lanes->polls = true;
  ring_wait(lanes->ring, timeout_ms);
}

bool lanes_run(struct engine *engine) {
  struct lanes *lanes = engine->lanes;
  struct completion done;
  while (ring_next(lanes->ring, &done)) {
    if (done.tag == TAG_EPOLL) lanes->polls = false;
    else complete(engine, &done);
  }
  if (lanes->starving != NULL) feed(lanes);
  return !lanes->polls;
}
