/** HTTP requests in every phase: the platform's `fetch`, by the name under which its siblings `connect` and `timer` are imported. */
export const fetch: typeof globalThis.fetch = (input, init) => globalThis.fetch(input, init);
