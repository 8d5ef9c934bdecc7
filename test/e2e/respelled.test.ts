import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dialIn } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { freePorts } from "../support/service.ts";
import { ask, change, clients, config, GROWN, hold } from "../support/workers.ts";

// A reload that writes an address in another way changes nothing about it.

describe.each([1, 2])("with %i workers", (workers) => {
  test.each([
    ["an IPv6 address", "[::1]:PORT", "[0:0:0:0:0:0:0:1]:PORT", "::1"],
    ["its letters", "[::ffff:7f00:1]:PORT", "[::FFFF:7F00:1]:PORT", "127.0.0.1"],
    ["the IPv6 wildcard", "[::]:PORT", "[0::0]:PORT", "::1"],
  ])("%s may be written in another way", async (_, first, next, host) => {
    const [port = 0] = await freePorts(1);
    const text = (listen: string): string =>
      config({ workers, listen: JSON.stringify(listen.replace("PORT", String(port))) });
    await using gateway = await Gateway.start(text(first));
    const dial = (): Promise<Socket> => dialIn(port, host);
    const held = await hold(dial());
    expect(await change(gateway, "SIGHUP", text(next))).toMatchObject({ msg: GROWN });
    expect(await hold(dial()).then(({ socket, generation }) => [socket.destroy(), generation][1])).toBe(2);
    expect(await change(gateway, "SIGHUP", text(first))).toMatchObject({ msg: GROWN });
    expect(await ask(held.socket)).toMatchObject({ pid: held.pid, generation: 1 });
    held.socket.destroy();
  });

  test("so may both wildcards at one port", async () => {
    const [port = 0] = await freePorts(1);
    const text = (six: string): string =>
      config({ workers, listen: JSON.stringify([`0.0.0.0:${port}`, `[${six}]:${port}`]) });
    await using gateway = await Gateway.start(text("0:0::"), { ports: 2 });
    expect(await change(gateway, "SIGHUP", text("::"))).toMatchObject({ msg: GROWN });
    expect(new Set((await clients(port)).map(({ generation }) => generation))).toEqual(new Set([2]));
  });

  test("so may the path of a unix socket", async () => {
    await using gateway = await Gateway.start(config({ workers }));
    const text = (path: string): string => config({ workers, listen: JSON.stringify(`unix:${gateway.folder}${path}`) });
    const dial = async (): Promise<Socket> => connect(join(gateway.folder, "x.sock"));
    for (const [at, path] of ["/x.sock", "/state/../x.sock", "//./x.sock"].entries()) {
      expect(await change(gateway, "SIGHUP", text(path)), path).toMatchObject({ msg: GROWN });
      const { socket, generation } = await hold(dial());
      expect(generation).toBe(at + 2);
      socket.destroy();
    }
  });
});
