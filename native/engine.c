// Starts and stops.
#define _GNU_SOURCE
#include "parts.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/** Signals are the driver's business. A SIGPIPE of a splice is nobody's. */
static int start_thread(struct engine *engine) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  int error = pthread_sigmask(SIG_SETMASK, &all, &before);
  if (error != 0) return error;
  error = pthread_create(&engine->thread, NULL, engine_thread, engine);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

/** 0, or an errno. What may be had either way is had without a word. */
int engine_begin(struct engine *engine) {
  const enum engine_kind kind = engine->options.kind;
  if (kind != KIND_EPOLL) engine->lanes = lanes_open();
  if (kind == KIND_IO_URING && engine->lanes == NULL) return errno;
  engine->options.kind = engine->lanes != NULL ? KIND_IO_URING : KIND_EPOLL;
  return 0;
}

/** The thread opens its ring itself: the kernel interrupts whoever has opened one when it is closed. 0, or an errno. */
static int wait_for_thread(struct engine *engine) {
  struct start start = {.error = -1};
  engine->start = &start;
  int error = start_thread(engine);
  if (error != 0) return error;
  pthread_mutex_lock(&engine->lock);
  while (start.error < 0) pthread_cond_wait(&engine->answered, &engine->lock);
  pthread_mutex_unlock(&engine->lock);
  if (start.error > 0) pthread_join(engine->thread, NULL);
  return start.error;
}

struct engine *engine_start(const struct engine_options *options) {
  struct engine *engine = calloc(1, sizeof *engine);
  if (engine == NULL) return NULL;
  engine->options = *options;
  if (engine->options.max_sessions > MAX_SLOTS) engine->options.max_sessions = MAX_SLOTS;
  pthread_mutex_init(&engine->lock, NULL);
  pthread_cond_init(&engine->answered, NULL);
  engine->pipes = pipes_new();
  int error = loop_open(&engine->loop);
  if (error == 0) error = engine->pipes == NULL ? ENOMEM : wait_for_thread(engine);
  if (error == 0) return engine;
  engine->stopped = true;
  engine_free(engine);
  errno = error;
  return NULL;
}

static void close_all(struct engine *engine) {
  ports_close(engine);
  for (uint32_t slot = 0; slot < engine->slots; slot++) {
    struct session *session = session_at(engine, slot);
    if (session->state != FREE) session_free_later(engine, session);
  }
  ports_free_dead(engine);
  loop_close(&engine->loop);
  lanes_close(engine->lanes);
  engine->lanes = NULL;
}

void engine_stop(struct engine *engine) {
  if (engine->stopped) return;
  engine->stopped = true;
  atomic_store(&engine->stopping, true);
  call_engine(engine, true);
  pthread_join(engine->thread, NULL);
  close_all(engine);
}

void engine_free(struct engine *engine) {
  engine_stop(engine);
  loop_close(&engine->loop);
  lanes_close(engine->lanes);
  pipes_free(engine->pipes);
  buckets_free(engine);
  for (size_t at = 0; at < CHUNKS; at++) free(atomic_load_explicit(&engine->chunks[at], memory_order_relaxed));
  pthread_cond_destroy(&engine->answered);
  pthread_mutex_destroy(&engine->lock);
  free(engine);
}

const char *engine_kind(const struct engine *engine) {
  return engine->options.kind == KIND_IO_URING ? "io_uring" : loop_kind();
}

uint32_t engine_sessions(struct engine *engine) {
  return atomic_load_explicit(&engine->sessions, memory_order_relaxed);
}
