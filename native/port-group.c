// Ports that count their sessions together: a server may have several addresses, and its limit is one.
#include "port.h"

#include <stdlib.h>

struct group {
  uint32_t number; // 0: of one port
  uint32_t held;   // sessions not released
  uint32_t ports;
  struct group *next;
};

static struct group *find(struct engine *engine, uint32_t number) {
  struct group *group = engine->groups;
  while (group != NULL && group->number != number) group = group->next;
  return number == 0 ? NULL : group;
}

bool group_join(struct engine *engine, struct port *port) {
  const uint32_t number = port->options.rules.group;
  struct group *group = find(engine, number);
  if (group == NULL) {
    group = calloc(1, sizeof *group);
    if (group == NULL) return false;
    group->number = number;
    group->next = engine->groups;
    engine->groups = group;
  }
  group->ports++;
  port->group = group;
  return true;
}

void group_leave(struct engine *engine, struct port *port) {
  struct group *group = port->group;
  if (group == NULL || --group->ports > 0) return;
  struct group **link = &engine->groups;
  while (*link != group) link = &(*link)->next;
  *link = group->next;
  free(group);
}

bool group_is_full(const struct port *port) { return port->group->held >= port->options.rules.max_sessions; }

void group_count(struct port *port, int sessions) {
  port->held += (uint32_t)sessions;
  port->group->held += (uint32_t)sessions;
}
