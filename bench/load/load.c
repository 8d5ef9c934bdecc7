// The load generator: one thread, one epoll, bounded in count and time, loopback only.
//
// Every connection sends an opening and waits for its answer. When all are there the work begins; after a warm-up the
// window is measured. `begin` and `end` are told on standard output, so that whoever measures the proxy can read its CPU
// time at both moments. The work goes on until standard input ends, so that nothing of its end falls into the window.
#define _GNU_SOURCE
#include "histogram.h"
#include "net.h"
#include "options.h"
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_OPENING_AT_ONCE 64 // connections; more would only fill the queue of accept
#define WRITES_PER_WAKE 16     // then other connections have their turn
#define MAX_FAILURES 1000      // then it makes no sense to go on
#define WAIT_MS 20             // the longest that the clock is not looked at
#define AFTER_NS 2000000000ll  // the longest work after the window

enum step { CLOSED_STEP, BEGINNING, SENDING, AWAITING, READY, WORKING };

struct client {
  struct transport transport;
  enum step step;
  bool held;
  uint32_t events;
  size_t moved; // bytes of the current opening, answer or message
  int64_t began;
};

enum stage { SETTING_UP, WARMING, MEASURING, AFTER };

static struct options options;
static struct client *clients;
static unsigned total, opened, ready;
static unsigned turn; // of the client address
static int epoll;
static bool input_ended;
static enum stage stage = SETTING_UP;
static int64_t started, stage_began, window_took;
static unsigned parked; // connections that could not even begin
static uint64_t ops, bytes, failures;
static struct histogram latencies;
static char message[MAX_MESSAGE];

static void begin_connection(struct client *client);
static void work(struct client *client);

static void want(struct client *client, uint32_t events) {
  if (client->events == events) return;
  struct epoll_event event = {.events = events, .data.ptr = client};
  int change = client->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(epoll, change, client->transport.fd, &event) != 0) fail("epoll: %m");
  client->events = events;
}

static void end_connection(struct client *client) {
  transport_close(&client->transport);
  client->events = 0;
  client->step = CLOSED_STEP;
}

/** Something went wrong: a new connection takes the place, unless nothing works at all. */
static void fail_connection(struct client *client) {
  bool was_ready = client->step == READY || client->step == WORKING;
  end_connection(client);
  if (stage == SETTING_UP) fail("a connection failed while connections were set up (%u of %u are there)", ready, total);
  if (stage != AFTER) failures++;
  if (failures > MAX_FAILURES) fail("more than %d connections failed", MAX_FAILURES);
  if (options.mode == CHURN && !client->held) begin_connection(client);
  else if (was_ready) ready--;
}

/** False when the answer is a reason to wait or to give up; that is then arranged. */
static bool went_on(struct client *client, ssize_t answer) {
  if (answer >= 0) return true;
  if (answer == WAIT_READ) want(client, EPOLLIN);
  else if (answer == WAIT_WRITE) want(client, EPOLLIN | EPOLLOUT);
  else fail_connection(client);
  return false;
}

static void begin_connection(struct client *client) {
  int fd = connect_to(options.port, turn++);
  if (fd < 0) {
    // No port or no file is free: it is tried again when the clock is looked at.
    if (++failures > MAX_FAILURES || stage == SETTING_UP) fail("cannot connect: %m");
    parked++;
    return;
  }
  client->began = now_ns();
  client->moved = 0;
  client->step = BEGINNING;
  transport_open(&client->transport, fd);
  want(client, EPOLLIN | EPOLLOUT);
}

/** The opening was answered. */
static void now_ready(struct client *client) {
  if (options.mode == CHURN && !client->held && stage != SETTING_UP) {
    if (stage == MEASURING) {
      histogram_add(&latencies, now_ns() - client->began);
      ops++;
    }
    end_connection(client);
    begin_connection(client);
    return;
  }
  client->step = READY;
  client->moved = 0;
  ready++;
  if (stage == SETTING_UP) want(client, EPOLLIN);
}

static void open_up(struct client *client) {
  if (client->step == BEGINNING) {
    if (!went_on(client, transport_begin(&client->transport))) return;
    client->step = SENDING;
  }
  while (client->step == SENDING) {
    const uint8_t *rest = options.opening + client->moved;
    ssize_t sent = transport_write(&client->transport, rest, options.opening_size - client->moved);
    if (!went_on(client, sent)) return;
    client->moved += (size_t)sent;
    if (client->moved < options.opening_size) continue;
    client->moved = 0;
    client->step = AWAITING;
    want(client, EPOLLIN);
    return;
  }
  while (client->step == AWAITING) {
    ssize_t size = transport_read(&client->transport, message, options.reply - client->moved);
    if (!went_on(client, size)) return;
    client->moved += (size_t)size;
    if (client->moved == options.reply) {
      now_ready(client);
      return;
    }
  }
}

static void upload(struct client *client) {
  for (int round = 0; round < WRITES_PER_WAKE; round++) {
    ssize_t sent = transport_write(&client->transport, message, CHUNK);
    if (!went_on(client, sent)) return;
    bytes += (uint64_t)sent;
  }
  want(client, EPOLLIN | EPOLLOUT);
}

static void download(struct client *client) {
  for (int round = 0; round < WRITES_PER_WAKE; round++) {
    ssize_t size = transport_discard(&client->transport);
    if (!went_on(client, size)) return;
    bytes += (uint64_t)size;
  }
}

/** One message at a time: the first half of `moved` is sent, the second half comes back. */
static void ping(struct client *client) {
  while (client->moved < options.size) {
    if (client->moved == 0) client->began = now_ns();
    ssize_t sent = transport_write(&client->transport, message, options.size - client->moved);
    if (!went_on(client, sent)) return;
    client->moved += (size_t)sent;
    if (client->moved == options.size) {
      want(client, EPOLLIN); // the answer cannot be there yet
      return;
    }
  }
  while (client->moved < 2 * options.size) {
    ssize_t size = transport_read(&client->transport, message, 2 * options.size - client->moved);
    if (!went_on(client, size)) return;
    client->moved += (size_t)size;
  }
  client->moved = 0;
  if (stage == MEASURING) {
    histogram_add(&latencies, now_ns() - client->began);
    ops++;
    bytes += options.size;
  }
  ping(client); // once deep: the message that is sent now waits for its answer
}

static void work(struct client *client) {
  client->step = WORKING;
  switch (options.mode) {
    case UP:
      upload(client);
      break;
    case DOWN:
      download(client);
      break;
    case PING:
      ping(client);
      break;
    case CHURN:
      end_connection(client);
      begin_connection(client);
      break;
    case HOLD:
      break;
  }
}

/** A held connection has nothing to say; what it has to tell is that the peer has left. */
static void check_held(struct client *client) {
  ssize_t size = transport_read(&client->transport, message, sizeof message);
  if (size == CLOSED) fail_connection(client);
}

static void wake(struct client *client) {
  if (client->step == CLOSED_STEP) return;
  if (client->step < READY) open_up(client);
  else if (client->held || client->step == READY) check_held(client);
  else work(client);
}

static void open_more(void) {
  while (opened < total && opened - ready < MAX_OPENING_AT_ONCE) {
    clients[opened].held = opened >= options.connections || options.mode == HOLD;
    begin_connection(&clients[opened++]);
  }
}

static void enter(enum stage next, int64_t now) {
  stage = next;
  stage_began = now;
}

static void begin_work(int64_t now) {
  enter(WARMING, now);
  for (unsigned at = 0; at < total; at++)
    if (!clients[at].held) work(&clients[at]);
}

static void tell_end(int64_t now) {
  window_took = now - stage_began;
  printf("{\"event\":\"end\",\"tookNs\":%lld,\"ops\":%llu,\"bytes\":%llu,\"failures\":%llu,\"resumed\":%llu,"
         "\"p50Ns\":%lld,\"p99Ns\":%lld,\"p999Ns\":%lld}\n",
         (long long)window_took, (unsigned long long)ops, (unsigned long long)bytes, (unsigned long long)failures,
         (unsigned long long)transport_resumed(), (long long)histogram_quantile(&latencies, 0.5),
         (long long)histogram_quantile(&latencies, 0.99), (long long)histogram_quantile(&latencies, 0.999));
  fflush(stdout);
}

static void retry_parked(void) {
  parked = 0;
  for (unsigned at = 0; at < total; at++)
    if (clients[at].step == CLOSED_STEP && !clients[at].held) begin_connection(&clients[at]);
}

static void keep_time(int64_t now) {
  if (stage == SETTING_UP && ready == total) {
    begin_work(now);
  } else if (stage == WARMING && now - stage_began >= options.warm_ns) {
    enter(MEASURING, now);
    ops = bytes = failures = 0;
    puts("{\"event\":\"begin\"}");
    fflush(stdout);
  } else if (stage == MEASURING && (now - stage_began >= options.window_ns || ops >= options.max_ops)) {
    tell_end(now);
    enter(AFTER, now);
  }
}

static void watch_input(void) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) input_ended = errno == EPERM; // a file, not a pipe
}

static void read_input(void) {
  char ignored[64];
  if (read(STDIN_FILENO, ignored, sizeof ignored) != 0) return;
  input_ended = true;
  epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
}

static bool goes_on(int64_t now) {
  if (now - started > options.limit_ns) fail("no end in time (%u of %u connections were set up)", ready, total);
  if (stage != AFTER) return true;
  return !input_ended && (options.mode == HOLD || now - stage_began < AFTER_NS);
}

int main(int count, char **arguments) {
  read_options(&options, count, arguments);
  end_for_certain((unsigned)(options.limit_ns / 1000000000) + 5);
  raise_file_limit();
  transport_prepare(options.resumes);
  total = options.connections + options.held;
  clients = calloc(total, sizeof *clients);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (clients == NULL || epoll < 0) fail("no memory");
  started = now_ns();
  watch_input();
  for (int64_t now = started; goes_on(now); now = now_ns()) {
    struct epoll_event events[MAX_EVENTS];
    if (stage == SETTING_UP) open_more();
    int got = epoll_wait(epoll, events, MAX_EVENTS, WAIT_MS);
    if (got < 0 && errno != EINTR) fail("epoll_wait: %m");
    for (int at = 0; at < got; at++) {
      if (events[at].data.ptr == NULL) read_input();
      else wake(events[at].data.ptr);
    }
    if (parked > 0) retry_parked();
    keep_time(now_ns());
  }
  return 0;
}
