// One turn of the engine's thread: wait, do what the driver wants, then what the sockets want, then what is late.
#define _GNU_SOURCE
#include "parts.h"

#include <time.h>

int64_t clock_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static unsigned flags_of(unsigned ready) {
  unsigned flags = 0;
  if (ready & (READY_IN | READY_HUP | READY_ERR)) flags |= READABLE;
  if (ready & (READY_OUT | READY_ERR)) flags |= WRITABLE;
  if (ready & READY_HUP) flags |= HUNG_UP;
  if (ready & READY_ERR) flags |= FAULTY;
  return flags;
}

static void session_ready(struct engine *engine, struct session *session, const struct ready_event *event) {
  struct side *side = event->what == WATCHED_CLIENT ? &session->client : &session->peer;
  const bool was_faulty = (side->flags & FAULTY) != 0;
  side->flags |= (uint8_t)flags_of(event->ready);
  switch (session->state) {
    case WAITING:
    case READING:
      head_ready(engine, session);
      break;
    case ASKED: // the socket is the driver's: it is told, and not touched
      if (event->ready & READY_ERR && !was_faulty) tell(engine, session, EVENT_BROKE);
      break;
    case CONNECTING:
      dial_ready(engine, session);
      break;
    case RELAYING:
      relay_run(engine, session);
      break;
    default: // closed in this turn
      break;
  }
}

static void dispatch(struct engine *engine, const struct ready_event *event) {
  if (event->what == WATCHED_PORT) port_ready(engine, event->owner);
  else session_ready(engine, event->owner, event);
}

void run_later(struct engine *engine, struct session *session) {
  if (session->running) return;
  session->running = true;
  session->next_run = engine->runners;
  engine->runners = session;
}

/** Those who yielded in earlier turns; who yields again waits for the next. */
static void run_runners(struct engine *engine) {
  struct session *session = engine->runners;
  engine->runners = NULL;
  while (session != NULL) {
    struct session *next = session->next_run;
    session->running = false;
    if (session->state == RELAYING) relay_run(engine, session);
    session = next;
  }
}

static void late(struct engine *engine, struct session *session) {
  if (session->state == WAITING || session->state == READING) head_over(engine, session, HEAD_TIMEOUT);
  else if (session->state == CONNECTING) dial_late(engine, session);
  else if (session->state == RELAYING) relay_late(engine, session);
}

static void run_timers(struct engine *engine) {
  struct timer *timer;
  while ((timer = wheel_next(&engine->wheel, engine->now_ms)) != NULL) {
    late(engine, (struct session *)((char *)timer - offsetof(struct session, timer)));
  }
}

static int sooner(int one, int other) {
  if (one < 0 || other < 0) return one < 0 ? other : one;
  return one < other ? one : other;
}

static int timeout_of(const struct engine *engine) {
  if (engine->runners != NULL) return 0;
  int timeout = sooner(wheel_timeout(&engine->wheel, engine->now_ms), lazy_timeout(engine));
  return sooner(timeout, ports_timeout(engine));
}

static void turn(struct engine *engine) {
  struct ready_event events[LOOP_EVENTS];
  const int timeout = timeout_of(engine);
  const bool sleeps = timeout != 0 && fall_asleep(engine);
  const bool on_ring = lanes_are_used(engine->lanes);
  int count = 0;
  if (on_ring) lanes_wait(engine, sleeps ? timeout : 0);
  else count = loop_wait(&engine->loop, events, sleeps ? timeout : 0);
  if (sleeps) wake_up(engine);
  engine->now_ms = clock_us() / 1000;
  run_commands(engine);
  if (on_ring && lanes_run(engine)) count = loop_wait(&engine->loop, events, 0);
  for (int at = 0; at < count; at++) dispatch(engine, &events[at]);
  if (engine->runners != NULL) run_runners(engine);
  run_timers(engine);
  ports_resume(engine);
  sessions_free_now(engine);
  ports_free_dead(engine);
  wake_driver(engine);
}

/** Tells whoever waits for the start. False: it failed. */
static bool begin(struct engine *engine) {
  const int error = engine_begin(engine);
  pthread_mutex_lock(&engine->lock);
  engine->start->error = error;
  pthread_cond_signal(&engine->answered);
  pthread_mutex_unlock(&engine->lock);
  return error == 0;
}

void *engine_thread(void *argument) {
  struct engine *engine = argument;
  if (!begin(engine)) return NULL;
  engine->now_ms = clock_us() / 1000;
  wheel_init(&engine->wheel, engine->now_ms);
  while (!atomic_load_explicit(&engine->stopping, memory_order_relaxed)) turn(engine);
  return NULL;
}
