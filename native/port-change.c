// What the driver may do with an open port.
#define _GNU_SOURCE
#include "port.h"

#include <stdlib.h>

static struct port *find(struct engine *engine, double listener) {
  struct port *port = engine->stopped ? NULL : engine->ports;
  while (port != NULL && (double)port->number != listener) port = port->next;
  return port;
}

static void pause_port(struct engine *engine, void *argument) {
  struct port *port = argument;
  if (port->is_paused) return;
  port->is_paused = true;
  port_rest(engine, port);
}

static void resume_port(struct engine *engine, void *argument) {
  struct port *port = argument;
  if (!port->is_paused) return;
  port->is_paused = false;
  port_watch(engine, port);
}

/** Has the engine do something with the port of a number; false: there is none. */
static bool ask_for_port(struct engine *engine, double listener, void (*run)(struct engine *, void *)) {
  struct port *port = find(engine, listener);
  if (port == NULL) return false;
  ask(engine, run, port);
  return true;
}

struct change {
  struct port *port;
  const struct port_rules *rules;
  bool done;
};

/**
 * Sessions count where they came in, so a port that moves to another group begins anew with its socket, under its number. The old
 * one stays for as long as it has sessions.
 */
static struct port *replace_port(struct engine *engine, struct port *port, const struct port_rules *rules) {
  struct port *fresh = malloc(sizeof *fresh);
  if (fresh == NULL) return NULL;
  const bool is_paused = port->is_paused;
  *fresh = *port;
  fresh->options.rules = *rules;
  fresh->held = 0;
  fresh->troubled = false;
  if (!group_join(engine, fresh)) {
    free(fresh);
    return NULL;
  }
  struct port **link = &engine->ports;
  while (*link != port) link = &(*link)->next;
  *link = fresh;
  port_stop(engine, port);
  port->is_closed = true;
  if (port->held == 0) port_free_later(engine, port);
  fresh->resume_ms = 0;
  fresh->next_paused = NULL;
  if (!is_paused) port_watch(engine, fresh);
  return fresh;
}

static void change_port(struct engine *engine, void *argument) {
  struct change *change = argument;
  struct port *port = change->port;
  if (change->rules->group != port->options.rules.group) port = replace_port(engine, port, change->rules);
  if (port == NULL) return;
  port->options.rules = *change->rules;
  port_set_client_options(port->fd, change->rules, port->target.any.sa_family);
  change->done = true;
}

bool engine_adjust(struct engine *engine, double listener, const struct port_rules *rules) {
  struct change change = {.port = find(engine, listener), .rules = rules};
  if (change.port != NULL) ask(engine, change_port, &change);
  return change.done;
}

bool engine_pause(struct engine *engine, double listener) { return ask_for_port(engine, listener, pause_port); }
bool engine_resume(struct engine *engine, double listener) { return ask_for_port(engine, listener, resume_port); }
bool engine_unlisten(struct engine *engine, double listener) { return ask_for_port(engine, listener, port_close); }

