// Loaded into a gateway's processes before all else (`NODE_OPTIONS=--import=…`): timers of a second and more run five times as fast, so
// that a story about a limit of half a minute takes some seconds. Shorter ones are what they are.
const TIMES = 5;
const LONG_MS = 1_000;

for (const name of ["setTimeout", "setInterval"]) {
  const original = globalThis[name];
  const fast = (callback, ms, ...rest) => original(callback, ms >= LONG_MS ? ms / TIMES : ms, ...rest);
  globalThis[name] = Object.assign(fast, original);
  for (const symbol of Object.getOwnPropertySymbols(original)) fast[symbol] = original[symbol];
}
