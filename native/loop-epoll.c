#define _GNU_SOURCE
#include "kernel.h"
#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CHANGES (EPOLLIN | EPOLLRDHUP | EPOLLET)

static struct epoll_event watch_of(void *owner, enum watched what, uint32_t events) {
  return (struct epoll_event){.events = events, .data.u64 = (uint64_t)(uintptr_t)owner | what};
}

static bool add(struct loop *loop, int fd, void *owner, enum watched what, uint32_t events) {
  struct epoll_event event = watch_of(owner, what, events);
  return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

int loop_open(struct loop *loop) {
  loop->epoll = epoll_create1(EPOLL_CLOEXEC);
  loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  // Edge-triggered, the counter need not be read: each write is an edge.
  if (loop->epoll >= 0 && loop->wake >= 0 && add(loop, loop->wake, 0, WATCHED_WAKE, EPOLLIN | EPOLLET)) return 0;
  int error = errno;
  loop_close(loop);
  return error;
}

void loop_close(struct loop *loop) {
  if (loop->epoll >= 0) close(loop->epoll);
  if (loop->wake >= 0) close(loop->wake);
  loop->epoll = loop->wake = -1;
}

const char *loop_kind(void) { return "epoll"; }

bool loop_watch(struct loop *loop, int fd, void *owner, enum watched what, bool wants_room) {
  return add(loop, fd, owner, what, wants_room ? CHANGES | EPOLLOUT : CHANGES);
}

bool loop_watch_room(struct loop *loop, int fd, void *owner, enum watched what) {
  struct epoll_event event = watch_of(owner, what, CHANGES | EPOLLOUT);
  return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) == 0;
}

// Not EPOLLEXCLUSIVE: of several processes it tells one, and when that one leaves without accepting the others never hear of the
// client, who waits until the next one comes. Sockets that processes share for long are unix sockets alone.
bool loop_watch_port(struct loop *loop, int fd, void *owner) { return add(loop, fd, owner, WATCHED_PORT, EPOLLIN); }

void loop_forget(struct loop *loop, int fd) { epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL); }

void loop_wake(struct loop *loop) {
  const uint64_t one = 1;
  // It fails only when the counter is full, and then the engine is awake.
  if (write(loop->wake, &one, sizeof one) < 0) return;
}

static unsigned ready_of(uint32_t events) {
  unsigned ready = 0;
  if (events & EPOLLIN) ready |= READY_IN;
  if (events & EPOLLOUT) ready |= READY_OUT;
  if (events & (EPOLLRDHUP | EPOLLHUP)) ready |= READY_HUP;
  if (events & EPOLLERR) ready |= READY_ERR;
  return ready;
}

int loop_wait(struct loop *loop, struct ready_event events[LOOP_EVENTS], int timeout_ms) {
  struct epoll_event told[LOOP_EVENTS];
  int count = kernel_epoll_wait(loop->epoll, told, LOOP_EVENTS, timeout_ms);
  int kept = 0;
  for (int at = 0; at < count; at++) {
    enum watched what = (enum watched)(told[at].data.u64 & WATCHED_MASK);
    if (what == WATCHED_WAKE) continue;
    void *owner = (void *)(uintptr_t)(told[at].data.u64 & ~(uint64_t)WATCHED_MASK);
    events[kept++] = (struct ready_event){.owner = owner, .what = what, .ready = ready_of(told[at].events)};
  }
  return kept;
}
