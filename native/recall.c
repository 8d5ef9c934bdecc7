// A relay at rest goes back to the driver, with both its sockets: nothing is under way between them.
#define _GNU_SOURCE
#include "parts.h"

#include <errno.h>

/** No byte has moved for long enough, none is held, and neither side has said that it is over. */
static bool seems_at_rest(const struct engine *engine, const struct session *session) {
  const unsigned over = HUNG_UP | FAULTY | ENDED | PASSED;
  if (session->draining || session->running || idle_ms_of(session, engine->now_ms) < session->rest_ms) return false;
  for (int at = UP; at <= DOWN; at++) {
    const struct flow *flow = &session->flows[at];
    if (flow->rest != NULL || flow->pipe != NULL || flow->over) return false;
  }
  return !((session->client.flags | session->peer.flags) & over);
}

enum sight { SEES_NOTHING, SEES_SOMETHING, SEES_RESET };

/** What a read would find. An end is something; and a reset is told once, so whoever sees it must act on it. */
static enum sight look_at(int fd) {
  uint8_t byte;
  if (recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) >= 0) return SEES_SOMETHING;
  return is_blocked(errno) ? SEES_NOTHING : SEES_RESET;
}

static void answer(struct engine *engine, struct session *session, bool recalled) {
  session->recalled = recalled;
  tell(engine, session, EVENT_RECALLED);
}

/** From here on the sockets are nobody's but the driver's, who does not know it yet. */
static void give_back(struct engine *engine, struct session *session) {
  timer_cancel(&engine->wheel, &session->timer);
  loop_forget(&engine->loop, session->client.fd);
  loop_forget(&engine->loop, session->peer.fd);
  session->state = RECALLED;
  answer(engine, session, true);
}

void recall_look(struct engine *engine, struct session *session) {
  if (session->state != RELAYING) return; // its end is the answer
  if (!seems_at_rest(engine, session)) {
    answer(engine, session, false);
    return;
  }
  const enum sight client = look_at(session->client.fd);
  const enum sight peer = look_at(session->peer.fd);
  if (client == SEES_RESET || peer == SEES_RESET) relay_reset(engine, session, client == SEES_RESET);
  else if (client == SEES_SOMETHING || peer == SEES_SOMETHING) answer(engine, session, false);
  else give_back(engine, session);
}

void recall_begin(struct engine *engine, struct session *session) {
  if (session->state == RELAYING && session->on_ring && seems_at_rest(engine, session)) lane_recall(engine, session);
  else recall_look(engine, session);
}

void recall_undo(struct engine *engine, struct session *session) {
  session->state = RELAYING;
  session->calm = 0;
  relay_watch(engine, session);
}
