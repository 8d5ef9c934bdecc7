// Connects to a peer, once; whether there is another try, and where to, is the driver's decision.
#define _GNU_SOURCE
#include "parts.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

/** What the driver wants; from `engine_relay` until the relay runs, or the connect failed. */
struct order {
  union target to;
  union target from;
  socklen_t to_size;
  socklen_t from_size; // 0: any
  uint32_t connect_timeout_ms;
  uint32_t idle_timeout_ms;
  uint32_t skip;
  uint32_t preface_bytes;
  uint8_t preface[];
};

uint32_t order_skip(const struct order *order) { return order->skip; }

enum answer order_make(const struct relay_options *to, struct order **made) {
  struct order *order = malloc(sizeof *order + to->preface_bytes);
  if (order == NULL) return GONE;
  order->to_size = to->port < 0 ? target_of_path(&order->to, to->host)
                                : target_of_ip(&order->to, to->host, (uint16_t)to->port);
  order->from_size = to->local_address == NULL ? 0 : target_of_ip(&order->from, to->local_address, 0);
  if (order->to_size == 0 || (to->local_address != NULL && order->from_size == 0)) {
    free(order);
    return MISUSED;
  }
  order->connect_timeout_ms = to->connect_timeout_ms;
  order->idle_timeout_ms = to->idle_timeout_ms;
  order->skip = to->skip;
  order->preface_bytes = to->preface_bytes;
  if (to->preface_bytes > 0) memcpy(order->preface, to->preface, to->preface_bytes);
  *made = order;
  return DONE;
}

static void drop_order(struct session *session) {
  free(session->order);
  session->order = NULL;
}

/** The session is the driver's again, with all its bytes. */
static void fail(struct engine *engine, struct session *session, int error) {
  timer_cancel(&engine->wheel, &session->timer);
  close_socket(&session->peer.fd, false);
  session->peer.flags = 0;
  drop_order(session);
  session->error = error;
  session->state = ASKED;
  tell(engine, session, EVENT_FAILED);
}

static bool bind_local(int fd, const struct order *order) {
  const int on = 1;
  // The port is chosen when the whole pair is known, so that one local address serves more than 28,000 connections.
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  return bind(fd, &order->from.any, order->from_size) == 0;
}

/** 0 when the connect is under way, or an errno. */
static int start(struct session *session, const struct order *order) {
  const int on = 1;
  const int family = order->to.any.sa_family;
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  session->peer = (struct side){.fd = fd, .flags = ROOM_WATCHED};
  if (family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (order->from_size > 0 && family != AF_UNIX && !bind_local(fd, order)) return errno;
  if (connect(fd, &order->to.any, order->to_size) == 0) {
    session->peer.flags |= WRITABLE;
    return 0;
  }
  return errno == EINPROGRESS ? 0 : errno;
}

static void begin_relay(struct engine *engine, struct session *session) {
  struct order *order = session->order;
  struct flow *head = &session->flows[UP];
  timer_cancel(&engine->wheel, &session->timer);
  session->connect_ms = (float)(clock_us() - session->began_us) / 1000;
  session->wait_ms = order->idle_timeout_ms;
  head->rest_start = order->skip;
  atomic_store_explicit(&head->bytes, head->rest_end - head->rest_start, memory_order_relaxed);
  if (order->preface_bytes > 0) {
    struct flow both = {.rest = NULL};
    const uint32_t unread = head->rest_end - head->rest_start;
    if (!flow_reserve(&both, order->preface_bytes + unread)) {
      fail(engine, session, ENOMEM);
      return;
    }
    flow_append(&both, order->preface, order->preface_bytes);
    if (unread > 0) flow_append(&both, head->rest + head->rest_start, unread);
    flow_clear(head);
    head->rest = both.rest;
    head->rest_end = both.rest_end;
    head->rest_room = both.rest_room;
  }
  drop_order(session);
  relay_begin(engine, session);
}

void dial(struct engine *engine, struct session *session) {
  if (session->client.flags & FAULTY || session->head_flags & HEAD_RESET) {
    relay_end(engine, session, CLIENT_RESET);
    return;
  }
  session->began_us = clock_us();
  const int error = start(session, session->order);
  if (error != 0) {
    fail(engine, session, error);
  } else if (!loop_watch(&engine->loop, session->peer.fd, session, WATCHED_PEER, true)) {
    fail(engine, session, ENOMEM);
  } else if (session->peer.flags & WRITABLE) {
    begin_relay(engine, session);
  } else if (session->order->connect_timeout_ms != NEVER_MS) {
    timer_arm(&engine->wheel, &session->timer, engine->now_ms + session->order->connect_timeout_ms);
  }
}

static int error_of(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error != 0 ? error : ECONNREFUSED;
}

void dial_ready(struct engine *engine, struct session *session) {
  if (session->client.flags & FAULTY) relay_end(engine, session, CLIENT_RESET);
  else if (session->peer.flags & FAULTY) fail(engine, session, error_of(session->peer.fd));
  else if (session->peer.flags & WRITABLE) begin_relay(engine, session);
}

void dial_late(struct engine *engine, struct session *session) { fail(engine, session, 0); }
