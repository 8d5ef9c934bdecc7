import { afterEach } from "vitest";

/** What a test opens, for the tests of a file from here on: closed behind each, the last one first. */
export function openPerTest(): AsyncDisposable[] {
  const open: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
  });
  return open;
}
