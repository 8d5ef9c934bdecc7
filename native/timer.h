// A hashed wheel of timers: arming and cancelling cost the same however many there are, and nothing ticks while none is due.
#ifndef CARRIER_TIMER_H
#define CARRIER_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/** Timers are late by one tick at most, and never early. */
#define TICK_MS 16
/** Times beyond the last slot wait there, and are put in again: once a minute, and so for nothing. */
#define WHEEL_SLOTS 4096

struct timer {
  struct timer *next; // NULL: not armed
  struct timer *previous;
  int64_t due_ms;
};

struct wheel {
  int64_t tick;     // everything before it has been looked at
  int64_t soonest;  // no timer is in a slot before this tick; so a turn with nothing due costs one comparison
  struct timer slots[WHEEL_SLOTS];
  uint64_t occupied[WHEEL_SLOTS / 64];
};

void wheel_init(struct wheel *wheel, int64_t now_ms);
/** Arms it anew if it is armed. */
void timer_arm(struct wheel *wheel, struct timer *timer, int64_t due_ms);
void timer_cancel(struct wheel *wheel, struct timer *timer);
static inline bool timer_is_armed(const struct timer *timer) { return timer->next != 0; }
/** One that is due, not armed any more; NULL: none is. */
struct timer *wheel_next(struct wheel *wheel, int64_t now_ms);
/** Milliseconds until something may be due; -1: nothing is armed. */
int wheel_timeout(const struct wheel *wheel, int64_t now_ms);

#endif
