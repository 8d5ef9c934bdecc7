import { expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../src/registry/redis/redis.ts";
import type { RedisLink } from "../../src/registry/redis/redis-link.ts";
import type { Change } from "../../src/registry/registry.ts";
import { eventually } from "../support/eventually.ts";
import { LogRig } from "../worker/link/rig.ts";
import { redisPerTest } from "./redis-server.ts";

// What one process has found is shared with the others, where that can be.

const rig = redisPerTest();

/** A way to Redis that is too narrow to share a list; counts the attempts. */
function narrow(link: RedisLink): { link: RedisLink; readonly attempts: number } {
  let attempts = 0;
  const send: RedisLink["send"] = async (command, key, ...rest) => {
    if (command !== "SET" || !key.startsWith("~snapshot:")) return await link.send(command, key, ...rest);
    attempts++;
    throw new GatewayError("RC_REGISTRY", "no answer within 2000 ms");
  };
  const own = (name: string | symbol): unknown => {
    const member: unknown = Reflect.get(link, name);
    return typeof member === "function" ? member.bind(link) : member;
  };
  return {
    link: new Proxy(link, { get: (_, name) => (name === "send" ? send : own(name)) }),
    get attempts() {
      return attempts;
    },
  };
}

test("who cannot share what it has found goes by it all the same, hears of changes, and does not try all the time", async () => {
  const log = new LogRig();
  await rig.redis.cli("SET", "restyconf:ban:192.0.2.1", "{}");
  const link = await openRedis({ url: rig.redis.url, connectTimeoutMs: 20_000, commandTimeoutMs: 20_000 }, { log });
  const way = narrow(link);
  const registry = await redisRegistry(way.link, { log, syncMs: 20 });
  rig.open.push(link, registry);
  const changes: Change[] = [];
  const follow = async (): Promise<void> => {
    for await (const change of registry.watch("ban:", new AbortController().signal)) changes.push(change);
  };
  void follow();
  expect([...(await registry.list("ban:")).keys()]).toEqual(["ban:192.0.2.1"]);
  for (let number = 2; number < 12; number++) {
    await rig.redis.cli("SET", `restyconf:ban:192.0.2.${number}`, "{}"); // nobody tells
    await eventually(() => expect(changes.at(-1)).toEqual({ key: `ban:192.0.2.${number}`, value: "{}" }));
  }
  expect(way.attempts).toBeGreaterThan(0);
  expect(way.attempts).toBeLessThan(8); // there were ten walks at least
  expect(log.lines).toEqual([]);
}, 60_000);
