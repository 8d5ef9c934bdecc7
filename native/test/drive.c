// Drives the engine without Node, so that sanitizers and valgrind see all of it and nothing else. Says nothing when all is well.
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name;
  void (*tell)(void);
} stories[] = {
    {"many", story_many},         {"messages", story_messages},   {"bulk", story_bulk},
    {"resets", story_resets},
    {"heads", story_heads},       {"failures", story_failures},   {"kills", story_kills},
    {"limits", story_limits},     {"exhaustion", story_exhaustion}, {"hand-over", story_hand_over},
    {"times", story_times},       {"rates", story_rates},         {"shares", story_shares},
    {"families", story_families},
    {"drains", story_drains},     {"recalls", story_recalls},
    {"ports", story_ports},       {"wrong ids", story_wrong_ids}, {"stop", story_stop},
};

/** `drive [name]` tells one story, or all of them but the one in DRIVE_WITHOUT. */
static bool is_wanted(const char *name, int count, char **arguments) {
  const char *without = getenv("DRIVE_WITHOUT");
  if (count > 1) return strcmp(arguments[1], name) == 0;
  return without == NULL || strcmp(without, name) != 0;
}

int main(int count, char **arguments) {
  const int before = open_files();
  for (size_t at = 0; at < sizeof stories / sizeof *stories; at++) {
    if (!is_wanted(stories[at].name, count, arguments)) continue;
    const int64_t start = now_ms();
    stories[at].tell();
    check(open_files() == before, "%s: %d files are left open", stories[at].name, open_files() - before);
    printf("%s: %ld ms\n", stories[at].name, (long)(now_ms() - start));
    fflush(stdout);
  }
  return 0;
}
