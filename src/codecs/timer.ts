/** The longest time that a timer of Node keeps: one beyond 2^31 - 1 ms fires at once. */
export const MAX_TIMER_MS = 2_147_483_647;
