#include "timer.h"

#include <stddef.h>

/** Timers beyond the wheel wait together, so that thousands of them wake the engine once a second and not each for itself. */
#define PARKED_TOGETHER 64

static struct timer *slot_of(struct wheel *wheel, int64_t tick) { return &wheel->slots[tick & (WHEEL_SLOTS - 1)]; }

static void mark(struct wheel *wheel, const struct timer *slot, bool occupied) {
  size_t at = (size_t)(slot - wheel->slots);
  uint64_t bit = 1ull << (at % 64);
  if (occupied) wheel->occupied[at / 64] |= bit;
  else wheel->occupied[at / 64] &= ~bit;
}

void wheel_init(struct wheel *wheel, int64_t now_ms) {
  wheel->tick = now_ms / TICK_MS;
  wheel->soonest = INT64_MAX;
  for (size_t at = 0; at < WHEEL_SLOTS; at++) wheel->slots[at].next = wheel->slots[at].previous = &wheel->slots[at];
}

/** Into the slot of its tick, or of the last tick that the wheel knows. */
static void insert(struct wheel *wheel, struct timer *timer) {
  int64_t tick = (timer->due_ms + TICK_MS - 1) / TICK_MS;
  if (tick < wheel->tick) tick = wheel->tick;
  const int64_t last = wheel->tick + WHEEL_SLOTS - 1;
  if (tick > last) tick = last & ~(int64_t)(PARKED_TOGETHER - 1);
  struct timer *slot = slot_of(wheel, tick);
  if (tick < wheel->soonest) wheel->soonest = tick;
  timer->next = slot->next;
  timer->previous = slot;
  slot->next->previous = timer;
  slot->next = timer;
  mark(wheel, slot, true);
}

void timer_arm(struct wheel *wheel, struct timer *timer, int64_t due_ms) {
  timer_cancel(wheel, timer);
  timer->due_ms = due_ms;
  insert(wheel, timer);
}

void timer_cancel(struct wheel *wheel, struct timer *timer) {
  if (timer->next == NULL) return;
  // Both neighbours are the slot itself: it was the last one there.
  if (timer->next == timer->previous) mark(wheel, timer->next, false);
  timer->previous->next = timer->next;
  timer->next->previous = timer->previous;
  timer->next = timer->previous = NULL;
}

/** The first occupied slot from the wheel's tick on, as a tick; INT64_MAX: none. */
static int64_t first_occupied(const struct wheel *wheel) {
  size_t start = (size_t)(wheel->tick & (WHEEL_SLOTS - 1));
  const size_t words = WHEEL_SLOTS / 64;
  for (size_t step = 0; step <= words; step++) {
    size_t word = (start / 64 + step) % words;
    uint64_t bits = wheel->occupied[word];
    if (step == 0) bits &= ~0ull << (start % 64);
    else if (step == words) bits &= ~(~0ull << (start % 64));
    if (bits == 0) continue;
    size_t at = word * 64 + (size_t)__builtin_ctzll(bits);
    return wheel->tick + (int64_t)((at - start) & (WHEEL_SLOTS - 1));
  }
  return INT64_MAX;
}

struct timer *wheel_next(struct wheel *wheel, int64_t now_ms) {
  const int64_t now_tick = now_ms / TICK_MS;
  for (;;) {
    if (wheel->soonest <= now_tick) wheel->soonest = first_occupied(wheel);
    if (wheel->soonest > now_tick) {
      if (wheel->tick < now_tick) wheel->tick = now_tick;
      return NULL;
    }
    wheel->tick = wheel->soonest;
    struct timer *timer = slot_of(wheel, wheel->tick)->next;
    timer_cancel(wheel, timer);
    if (timer->due_ms <= now_ms) return timer;
    insert(wheel, timer); // it was parked at the end of the wheel
  }
}

int wheel_timeout(const struct wheel *wheel, int64_t now_ms) {
  if (wheel->soonest == INT64_MAX) return -1;
  int64_t wait = wheel->soonest * TICK_MS - now_ms;
  return wait > 0 ? (int)wait : 0;
}
