import { expect, test } from "vitest";
import { messageOf } from "../../src/errors.ts";
import { chooseCarrier } from "../../src/worker/choose-carrier.ts";
import { ConfigError } from "../../src/worker/config/config-error.ts";

/** What was logged: who carries. */
function recorder(): { readonly fields: unknown[]; readonly log: Parameters<typeof chooseCarrier>[3] } {
  const fields: unknown[] = [];
  const note = (_message: string, more?: unknown): void => void fields.push(more);
  return { fields, log: { debug: note, info: note, warn: note, error: note, access: () => {} } };
}

test("RESTYCONF_ENGINE=epoll is what the engine then waits by", () => {
  const { fields, log } = recorder();
  const carrier = chooseCarrier("native", "epoll", 10, log);
  carrier?.engine.stop();
  expect(fields).toEqual([{ carrier: "native", engine: "epoll" }]);
});

test("without RESTYCONF_ENGINE there is always an engine, whatever the kernel allows", () => {
  const { fields, log } = recorder();
  for (const wanted of [undefined, ""]) chooseCarrier("native", wanted, 10, log)?.engine.stop();
  for (const told of fields)
    expect(told).toMatchObject({ carrier: "native", engine: expect.stringMatching(/^(epoll|io_uring)$/) });
});

test("an engine that is wanted is had, or the reason is told", () => {
  const { log } = recorder();
  try {
    const carrier = chooseCarrier("native", "io_uring", 10, log);
    expect(carrier?.engine.kind).toBe("io_uring");
    carrier?.engine.stop();
  } catch (cause) {
    expect(cause).toBeInstanceOf(ConfigError);
    expect(messageOf(cause)).toMatch(/RESTYCONF_ENGINE=io_uring: ./);
  }
});

test.each(["uring", "EPOLL", "node"])("RESTYCONF_ENGINE=%s is no engine", (word) => {
  expect(() => chooseCarrier("native", word, 10, recorder().log)).toThrow(
    new ConfigError([`RESTYCONF_ENGINE: expected epoll or io_uring, got ${word}`]),
  );
});
