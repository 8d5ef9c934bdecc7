// Clients that have said nothing yet. They are the engine's, and the driver has not heard of them, unless it asks.
#define _GNU_SOURCE
#include "parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct list {
  struct silent *all;
  size_t count;
};

/** One look at each place: a quarter of a millisecond for 20,000 sessions. */
static void list_waiting(struct engine *engine, void *argument) {
  struct list *list = argument;
  const uint32_t most = atomic_load_explicit(&engine->sessions, memory_order_relaxed);
  if (most == 0 || (list->all = calloc(most, sizeof *list->all)) == NULL) return;
  for (uint32_t slot = 0; slot < engine->slots && list->count < most; slot++) {
    const struct session *session = session_at(engine, slot);
    if (session->state != WAITING) continue;
    list->all[list->count++] = (struct silent){
        .session = session_id(session),
        .listener = port_number(session->port),
        .local_port = port_bound(session->port),
        .accepted_ms = (double)session->began_us / 1000,
        .ends = session->ends,
    };
  }
}

struct silent *engine_silent(struct engine *engine, size_t *count) {
  struct list list = {.all = NULL};
  if (!engine->stopped) ask(engine, list_waiting, &list);
  *count = list.count;
  return list.all;
}

void silent_addresses(const struct silent *silent, struct address_pair *out) {
  out->remote_port = silent->ends.remote_port;
  out->local_port = silent->local_port;
  if (silent->ends.family == AF_UNIX) {
    snprintf(out->remote, sizeof out->remote, "unix:");
    snprintf(out->local, sizeof out->local, "unix:");
    return;
  }
  ip_text(&silent->ends, silent->ends.remote_ip, out->remote, sizeof out->remote);
  ip_text(&silent->ends, silent->ends.local_ip, out->local, sizeof out->local);
}

struct opening {
  double id;
  bool done;
};

static void open_one(struct engine *engine, void *argument) {
  struct opening *opening = argument;
  const uint32_t slot = (uint32_t)((uint64_t)opening->id & (MAX_SLOTS - 1));
  struct session *session = slot < engine->slots ? session_at(engine, slot) : NULL;
  if (session == NULL || session->state != WAITING || session_id(session) != opening->id) return;
  head_over(engine, session, HEAD_TIMEOUT);
  opening->done = true;
}

bool engine_open(struct engine *engine, double id) {
  struct opening opening = {.id = id};
  if (engine->stopped || !(id >= 0 && id < MOST_IDS) || id != floor(id)) return false;
  ask(engine, open_one, &opening);
  return opening.done;
}

static void open_all(struct engine *engine, void *argument) {
  (void)argument;
  for (uint32_t slot = 0; slot < engine->slots; slot++) {
    struct session *session = session_at(engine, slot);
    if (session->state == WAITING) head_over(engine, session, HEAD_TIMEOUT);
  }
}

void engine_open_silent(struct engine *engine) {
  if (!engine->stopped) ask(engine, open_all, NULL);
}
