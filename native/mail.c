// What the two threads have for each other. The queues are made of the sessions themselves, so they cannot outgrow them.
#define _GNU_SOURCE
#include "parts.h"

/** So long may an event wait that nobody is waiting for, so that it costs no switch of threads of its own. */
#define LAZY_MS 5

#define LINKED(queue, session, link)                                                                                   \
  do {                                                                                                                 \
    (session)->link = NULL;                                                                                            \
    if ((queue)->last != NULL) (queue)->last->link = (session);                                                        \
    else (queue)->first = (session);                                                                                   \
    (queue)->last = (session);                                                                                         \
  } while (0)

static bool is_lazy(enum event_kind kind) { return kind == EVENT_CONNECTED || kind == EVENT_ENDED; }

void tell(struct engine *engine, struct session *session, enum event_kind kind) {
  pthread_mutex_lock(&engine->lock);
  if (session->events == 0) LINKED(&engine->events, session, next_event);
  session->events |= event_bit(kind);
  pthread_mutex_unlock(&engine->lock);
  if (!is_lazy(kind)) engine->urgent = true;
  else if (engine->lazy_since_ms == 0) engine->lazy_since_ms = engine->now_ms;
}

/** At the end of a turn: once for all that happened in it. */
void wake_driver(struct engine *engine) {
  bool is_late = engine->lazy_since_ms != 0 && engine->now_ms - engine->lazy_since_ms >= LAZY_MS;
  if (!engine->urgent && !is_late) return;
  engine->urgent = false;
  engine->lazy_since_ms = 0;
  pthread_mutex_lock(&engine->lock);
  bool must_wake = !engine->woken && (engine->events.first != NULL || engine->troubled != NULL);
  engine->woken |= must_wake;
  pthread_mutex_unlock(&engine->lock);
  if (must_wake) engine->options.wake(engine->options.context);
}

int lazy_timeout(const struct engine *engine) {
  if (engine->lazy_since_ms == 0) return -1;
  int64_t left = engine->lazy_since_ms + LAZY_MS - engine->now_ms;
  return left > 0 ? (int)left : 0;
}

/**
 * First it is said that there is something, then looked whether the engine sleeps; the engine says that it sleeps, then looks
 * whether there is something. So one of the two always notices, and neither needs the lock.
 */
void call_engine(struct engine *engine, bool at_once) {
  atomic_store(&engine->called, true);
  if (at_once && atomic_exchange(&engine->asleep, false)) loop_wake(&engine->loop);
}

/** What must run at once wakes the engine; the rest waits for its next turn, which begins with it. */
void command(struct engine *engine, struct session *session, enum command what) {
  pthread_mutex_lock(&engine->lock);
  if (session->commands == 0) LINKED(&engine->commands, session, next_command);
  session->commands |= (uint16_t)what;
  pthread_mutex_unlock(&engine->lock);
  call_engine(engine, what != CMD_RELEASE);
}

/** Has the engine do something, and waits until it is done. */
void ask(struct engine *engine, void (*run)(struct engine *, void *), void *argument) {
  struct request request = {.run = run, .argument = argument};
  pthread_mutex_lock(&engine->lock);
  engine->request = &request;
  call_engine(engine, true);
  while (engine->request != NULL) pthread_cond_wait(&engine->answered, &engine->lock);
  pthread_mutex_unlock(&engine->lock);
}

static void relay_or_end(struct engine *engine, struct session *session, unsigned what) {
  session->state = CONNECTING;
  if (what & CMD_KILL) relay_end(engine, session, session->kill_cause);
  else if (what & CMD_DRAIN) relay_end(engine, session, DRAINED);
  else dial(engine, session);
}

static void kill_session(struct engine *engine, struct session *session) {
  if (session->state == READING) head_over(engine, session, HEAD_RESET);
  else if (session->state == CONNECTING || session->state == RELAYING) relay_end(engine, session, session->kill_cause);
}

static void run_command(struct engine *engine, struct session *session, unsigned what) {
  if (what & CMD_RELAY) {
    relay_or_end(engine, session, what);
  } else {
    if (what & CMD_MORE) head_more(engine, session);
    if (what & CMD_RESUME) recall_undo(engine, session);
    if (what & CMD_DRAIN) drain_begin(engine, session);
    if (what & CMD_KILL) kill_session(engine, session);
  }
  if (what & CMD_LIMIT) relay_limit(engine, session);
  if (what & CMD_RECALL) recall_begin(engine, session); // last: an end goes before it
  if (what & (CMD_CLOSE | CMD_RESET)) {
    close_socket(&session->client.fd, (what & CMD_RESET) != 0);
    session->state = OVER;
  }
  if (what & CMD_RELEASE) session_free_later(engine, session);
}

static void run_request(struct engine *engine, struct request *request) {
  request->run(engine, request->argument);
  pthread_mutex_lock(&engine->lock);
  engine->request = NULL;
  pthread_cond_signal(&engine->answered);
  pthread_mutex_unlock(&engine->lock);
}

void run_commands(struct engine *engine) {
  struct session *session;
  if (!atomic_load_explicit(&engine->called, memory_order_relaxed)) return;
  atomic_store(&engine->called, false); // before looking, so that what comes now is seen now or in the next turn
  pthread_mutex_lock(&engine->lock);
  while ((session = engine->commands.first) != NULL) {
    unsigned what = session->commands;
    session->commands = 0;
    engine->commands.first = session->next_command;
    if (session->next_command == NULL) engine->commands.last = NULL;
    pthread_mutex_unlock(&engine->lock);
    run_command(engine, session, what);
    pthread_mutex_lock(&engine->lock);
  }
  struct request *request = engine->request;
  pthread_mutex_unlock(&engine->lock);
  if (request != NULL) run_request(engine, request);
}

/** False when there is something to do. From here on the driver wakes the engine. */
bool fall_asleep(struct engine *engine) {
  atomic_store(&engine->asleep, true);
  if (!atomic_load(&engine->called)) return true;
  wake_up(engine);
  return false;
}

void wake_up(struct engine *engine) { atomic_store_explicit(&engine->asleep, false, memory_order_relaxed); }
