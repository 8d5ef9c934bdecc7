// Several who accept at one address.
#define _GNU_SOURCE
#include "rig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** Two engines, as if each were a process. */
struct pair {
  struct rig *rigs[2];
  struct listening ports[2];
};

/** A client comes, and it is this one who gets it. */
static void visit(struct rig *rig, uint16_t port) {
  char answer[5];
  const uint32_t connected = rig->connected + 1;
  int fd = connect_to(port);
  send_all(fd, "hello", 5);
  rig_wait(rig, &rig->connected, connected);
  read_exactly(fd, answer, 5);
  check(memcmp(answer, "hello", 5) == 0, "other bytes came");
  close(fd);
  rig_wait(rig, &rig->over, rig->over + 1);
}

/** While both pause clients wait, and nobody refuses them. */
static void visit_paused(struct pair *pair, uint16_t port) {
  struct rig *rig = pair->rigs[0];
  const uint32_t opened = rig->opened;
  int fd = connect_to(port);
  send_all(fd, "hello", 5);
  rig_run(rig, 10);
  check(rig->opened == opened, "a client was accepted");
  check(engine_resume(rig->engine, pair->ports[0].listener), "no such port");
  check(engine_resume(rig->engine, pair->ports[0].listener), "no such port"); // again: nothing happens
  rig_wait(rig, &rig->opened, opened + 1);
  close(fd);
  rig_wait(rig, &rig->over, rig->over + 1);
}

static void take_turns(struct pair *pair) {
  const uint16_t port = pair->ports[0].port;
  for (unsigned round = 0; round < scaled(20); round++) {
    struct rig *busy = pair->rigs[round % 2];
    const uint32_t *listeners[] = {&pair->ports[0].listener, &pair->ports[1].listener};
    check(engine_resume(busy->engine, *listeners[round % 2]), "no such port");
    check(engine_pause(pair->rigs[1 - round % 2]->engine, *listeners[1 - round % 2]), "no such port");
    visit(busy, port);
  }
  for (int at = 0; at < 2; at++) engine_pause(pair->rigs[at]->engine, pair->ports[at].listener);
  visit_paused(pair, port);
  check(engine_unlisten(pair->rigs[0]->engine, pair->ports[0].listener), "no such port");
  engine_resume(pair->rigs[1]->engine, pair->ports[1].listener);
  visit(pair->rigs[1], port); // the other copy of the socket lives
}

/** The second one inherits the first one's socket, or opens the same port. */
static void share(bool reuses) {
  struct pair pair;
  struct peer echo;
  struct listen_options options = usual_port();
  peer_start(&echo, ECHO, NULL);
  options.reuse_port = reuses;
  for (int at = 0; at < 2; at++) {
    pair.rigs[at] = malloc(sizeof *pair.rigs[at]);
    rig_start(pair.rigs[at], MAX_PLACES);
    rig_send_to(pair.rigs[at], "127.0.0.1", echo.port);
    pair.ports[at] = rig_open(pair.rigs[at], &options);
    options.port = pair.ports[0].port;
    if (!reuses) options.fd = pair.ports[0].fd;
    if (!reuses) options.host = NULL;
  }
  check(pair.ports[0].port == pair.ports[1].port, "another port");
  if (reuses) { // each has a queue of its own: the first one leaves, and the second one gets all
    engine_unlisten(pair.rigs[0]->engine, pair.ports[0].listener);
    visit(pair.rigs[1], pair.ports[1].port);
  } else {
    take_turns(&pair);
  }
  for (int at = 0; at < 2; at++) {
    rig_stop(pair.rigs[at]);
    free(pair.rigs[at]);
  }
  peer_stop(&echo);
}

void story_ports(void) {
  share(false);
  share(true);
}
