import { expect, test } from "vitest";
import { otherwise, reject } from "../../../src/index.ts";
import { ConfigError } from "../../../src/worker/config/config-error.ts";
import { validate } from "../../../src/worker/config/validate.ts";

const servers = { edge: { listen: "127.0.0.1:0", routes: [otherwise(reject("no"))] } };

/** What is wrong with a configuration that has this `redis`, line by line; nothing when it is right. */
function faults(redis: unknown): readonly string[] {
  try {
    validate({ config: { servers, redis }, path: "/c.ts", baseDir: "/" });
    return [];
  } catch (cause) {
    return cause instanceof ConfigError
      ? cause.lines.map((line) => line.replace(/^.*?(?=redis)/, ""))
      : [String(cause)];
  }
}

test.each([
  "redis://h",
  "rediss://user:p%40ss@[::1]:6380/3",
  { url: "redis://h" },
  { url: "rediss://h/1", tls: true, prefix: "{edge}:" },
  { sentinels: ["10.0.0.1:26379", "s2", "[::1]:1"], name: "main", sentinelPassword: "x" },
  { cluster: ["10.0.0.1:7000"], database: 0, tls: { ca: "ca.pem", verify: false }, protocol: 2 },
])("%j is right", (redis) => expect(faults(redis)).toEqual([]));

test.each<[unknown, string]>([
  ["redis://h/x", "redis: expected a URL like redis://host:6379, got text of 11 characters"],
  [5, "redis: expected a URL like redis://host:6379, got a number"],
  [{}, "redis.url: expected one of url, sentinels and cluster, got none"],
  [{ url: "redis://h", cluster: ["h"] }, "redis.url: expected one of url, sentinels and cluster, got 2"],
  [{ sentinels: ["h"] }, "redis.name: expected what the sentinels call the master"],
  [{ cluster: ["h"], database: 2 }, "redis.database: expected 0, a Cluster has no other"],
  [{ cluster: [] }, "redis.cluster: expected a list of addresses, got an empty list"],
  [{ cluster: ["a:b"] }, `redis.cluster[0]: expected host:port, got "a:b"`],
  [{ url: "redis://h", prefx: "" }, `redis.prefx: unknown key, did you mean "prefix"?`],
  [{ url: "redis://h", tls: { verfy: true } }, `redis.tls.verfy: unknown key, did you mean "verify"?`],
  [{ url: "redis://h", tls: "yes" }, `redis.tls: expected true, false or an object, got "yes"`],
  [{ url: "redis://h", protocol: 4 }, "redis.protocol: expected 2 or 3, got 4"],
  [{ url: "redis://h", password: 5 }, "redis.password: expected text, got a number"],
])("%j: %s", (redis, fault) => expect(faults(redis)).toContain(fault));

test.each([
  { url: "http://:secret@h" },
  { url: "redis://h", password: ["secret"] },
  { url: "redis://h", tls: { key: ["secret"] } },
])("a secret never appears in a message: %#", (redis) => {
  expect(faults(redis)).not.toEqual([]);
  expect(faults(redis).join()).not.toContain("secret");
});
