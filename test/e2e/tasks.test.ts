import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exchange, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";

// Tasks in sessions of a gateway: docs/tasks.md as it stands, and what is left when clients go.

const page = readFileSync(new URL("../../docs/tasks.md", import.meta.url), "utf8");
const [, example = ""] = /```ts\n(\/\/ restyconf\.config\.ts\n[\s\S]+?)```/.exec(page) ?? [];
const [, generators = ""] = /```ts\n\/\/ generators\n([\s\S]+?)```/.exec(page) ?? [];

const CONFIG = `
import { content, defineGateway, otherwise, sleep } from "restyconf";
${generators}
const server = (work) => ({ listen: "127.0.0.1:0", routes: [otherwise(content(work))] });
const count = (kind) => process.getActiveResourcesInfo().filter((name) => name === kind).length;
export default defineGateway({
  servers: {
    sleeping: server(async (session) => {
      for (let count = 0; count < 3; count++) session.spawn(({ signal }) => sleep(60_000, { signal }));
      await session.write("asleep");
    }),
    info: server((session) => session.end(JSON.stringify(count("Timeout")))),
    throwing: server(async (session) => {
      session.spawn(async () => { throw new Error("in a task"); });
      await sleep(1);
      await session.write("unharmed");
    }),
    numbering: server(async (session) => {
      const numbers = numbered(1);
      for await (const line of lines(() => session.reader.receive())) {
        const { value } = line === "five" ? numbers.next(5) : numbers.next();
        await session.write(value + " " + line + "\\n");
      }
    }),
    leaving: server(async (session) => {
      session.onAbort(async ({ signal }) => { console.error("abort seen", signal.aborted); session.exit(499); });
      await session.write("ready");
      await new Promise(() => {});
    }),
  },
});
`;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.start(CONFIG, { ports: 5, file: "restyconf.config.mts" });
});
afterAll(() => gateway[Symbol.asyncDispose]());

/** A client that has been answered. */
async function greeted(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write("x");
  await once(socket, "data");
  return socket;
}

test("docs/tasks.md has an example that talks and listens at the same time", async () => {
  await using documented = await Gateway.start(example.replace(":5050", ":0"));
  const client = connect(documented.port(), "127.0.0.1");
  await readUntil(client, (text) => text.includes("tick"));
  client.write("hello\n");
  expect(String(await readAll(client))).toMatch(/^(tick\n)*you said hello\n$/);
});

test("docs/tasks.md has generators that hand out lines and numbers", async () => {
  expect(await exchange(gateway.port("numbering"), "a\nb\nfive\nc\n")).toBe("1 a\n2 b\n5 five\n6 c\n");
});

test("what a task throws is logged, and ends nothing", async () => {
  expect(await exchange(gateway.port("throwing"), "x")).toBe("unharmed");
  const line = await gateway.line(({ msg }) => msg === "task failed");
  expect(line).toMatchObject({ level: "error", server: "throwing", err: { message: "in a task" } });
});

test("onAbort runs when the client leaves, and may end the session", async () => {
  const client = await greeted(gateway.port("leaving"));
  client.end();
  expect(await gateway.access(({ server }) => server === "leaving")).toMatchObject({
    status: 499,
    end_cause: "exited",
  });
  await eventually(() => expect(gateway.stderr).toContain("abort seen false\n"));
});

test("1,000 sessions that are reset during sleeps of a minute leave no timer behind", { timeout: 60_000 }, async () => {
  const timers = async (): Promise<number> => Number(await exchange(gateway.port("info"), "x"));
  const before = await timers();
  const clients: Socket[] = [];
  for (let batch = 0; batch < 10; batch++) {
    const hundred = Array.from({ length: 100 }, () => greeted(gateway.port("sleeping")));
    clients.push(...(await Promise.all(hundred)));
  }
  const began = performance.now();
  for (const client of clients) client.resetAndDestroy();
  await eventually(async () => expect(await timers()).toBeLessThan(before + 5), 30_000);
  expect(performance.now() - began).toBeLessThan(50_000);
  await gateway.sessions(1_000);
});
