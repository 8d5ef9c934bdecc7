import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Codec } from "../../../src/codecs/codec.ts";
import { type MqttPacket, mqtt } from "../../../src/codecs/mqtt/mqtt.ts";
import { run } from "../../support/programs.ts";
import { freePorts, Service } from "../../support/service.ts";

/** What went each way on one connection. */
interface Conversation {
  readonly up: Buffer[];
  readonly down: Buffer[];
}

let broker: Service;
let folder: string;
let tap: ReturnType<typeof createServer>;
let conversations: Conversation[] = [];

beforeAll(async () => {
  const [port = 0] = await freePorts(1);
  folder = mkdtempSync(join(tmpdir(), "restyconf-mosquitto-"));
  writeFileSync(join(folder, "mosquitto.conf"), `listener ${port} 127.0.0.1\nallow_anonymous true\n`);
  broker = await Service.start(`mosquitto -c ${join(folder, "mosquitto.conf")} # ${port}`);
  tap = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    const seen: Conversation = { up: [], down: [] };
    conversations.push(seen);
    client
      .on("error", () => server.destroy())
      .pipe(server.on("error", () => client.destroy()))
      .pipe(client);
    client.on("data", (chunk: Buffer) => seen.up.push(chunk));
    server.on("data", (chunk: Buffer) => seen.down.push(chunk));
  });
  await once(tap.listen(0, "127.0.0.1"), "listening");
});
afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  tap.close();
  rmSync(folder, { recursive: true });
});

/** Publishes while somebody listens, all through the tap. */
async function talk(version: string, qos: number): Promise<Conversation[]> {
  conversations = [];
  const { port } = tap.address() as AddressInfo;
  const common = ["-p", String(port), "-V", version, "-q", String(qos)];
  const topic = `room/${version}/${qos}`;
  const five =
    version === "mqttv5"
      ? ["-D", "PUBLISH", "user-property", "region", "eu", "-D", "PUBLISH", "content-type", "text/plain"]
      : [];
  await run("mosquitto_pub", [...common, "-t", topic, "-r", "-m", "hello", "-i", "pub", ...five]);
  const heard = await run("mosquitto_sub", [
    ...common,
    "-t",
    topic,
    "-U",
    "other/#",
    "-C",
    "1",
    "-i",
    "sub",
    "-k",
    "5",
  ]);
  expect(heard.stdout).toBe("hello\n");
  return conversations;
}

/** All packets of one direction; fails where the bytes do not end with a packet. */
function packetsIn(bytes: Buffer, codec: Codec<MqttPacket>): MqttPacket[] {
  const packets: MqttPacket[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const decoded = codec.decode(rest);
    if (decoded.kind !== "frame") throw new Error(`${JSON.stringify(decoded)} at ${rest.toString("hex")}`);
    packets.push(decoded.value);
    expect(codec.decode(codec.encode(decoded.value))).toMatchObject({ value: decoded.value });
    rest = rest.subarray(decoded.size);
  }
  return packets;
}

const HANDSHAKES: Record<number, readonly string[]> = {
  0: ["publish"],
  1: ["publish", "puback"],
  2: ["publish", "pubrec", "pubrel", "pubcomp"],
};

describe.each(["mqttv31", "mqttv311", "mqttv5"])("real clients and a real broker speaking %s", (version) => {
  test.each([0, 1, 2])("are understood with QoS %i", async (qos) => {
    const seen = await talk(version, qos);
    const [publisher = [], subscriber = []] = seen.map(({ up, down }) => {
      const codec = mqtt();
      const session = {};
      return [up, down].map((chunks) => packetsIn(Buffer.concat(chunks), codec.begin?.(session) ?? codec));
    });
    const names = [...publisher, ...subscriber].flat().map(({ cmd }) => cmd);
    // Nobody waits for the UNSUBACK: it may come too late.
    const expected = ["connect", "connack", "subscribe", "suback", "unsubscribe", "disconnect"];
    expect(new Set(names.filter((name) => name !== "unsuback"))).toEqual(
      new Set([...expected, ...(HANDSHAKES[qos] ?? [])]),
    );
    expect(subscriber[1]).toContainEqual(expect.objectContaining({ cmd: "publish", payload: Buffer.from("hello") }));
    if (version === "mqttv5") {
      const properties = { contentType: "text/plain", userProperties: { region: "eu" } };
      expect(publisher[0]).toContainEqual(expect.objectContaining({ cmd: "publish", properties }));
    }
  });
});
