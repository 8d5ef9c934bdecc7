import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { MqttClient } from "../support/mqtt-client.ts";
import { type Ran, run } from "../support/programs.ts";
import { freePorts, Service } from "../support/service.ts";

// What clients read last, when the gateway ends their sessions in good order.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

let broker: Service;
let brokerPort = 0;

beforeAll(async () => {
  [brokerPort = 0] = await freePorts(1);
  broker = await Service.start(`mosquitto -p ${brokerPort}`);
});
afterAll(() => broker[Symbol.asyncDispose]());

async function start({ workers = 1 } = {}): Promise<Gateway> {
  return Gateway.start(
    `
import { defineGateway, frames, on, otherwise, proxy } from "restyconf";
import { mqtt as packets } from "restyconf/codecs";
import { mqtt } from "restyconf/preread";
const routes = [on(mqtt(), proxy("broker"))];
export default defineGateway({
  stateDir: "state",
  workers: ${workers},
  upstreams: { broker: { peers: ["127.0.0.1:${brokerPort}"] } },
  servers: {
    plain: { listen: "127.0.0.1:0", routes },
    secure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes },
    framed: { listen: "127.0.0.1:0", routes, phases: { bodyFilter: { client: frames(packets(), () => undefined), upstream: frames(packets(), () => undefined) } } },
    raw: { listen: "127.0.0.1:0", routes, phases: { bodyFilter: { upstream: () => undefined } } },
  },
});`,
    { ports: 4, files: await certificateFiles() },
  );
}

const servers = ["plain", "secure", "framed", "raw"] as const;

async function connect(
  gateway: Gateway,
  server: (typeof servers)[number],
  options?: { clientId?: string; version?: 4 | 5 },
): Promise<MqttClient> {
  const socket = await (server === "secure" ? dialTls(gateway.port(server)) : dialIn(gateway.port(server)));
  return MqttClient.over(socket, { clientId: server, ...options });
}

function tell(gateway: Gateway, ...words: string[]): Promise<Ran> {
  return run(process.execPath, [CLI, ...words, "--config", join(gateway.folder, "restyconf.config.ts")]);
}

describe.each(servers)("MQTT 5 through a server that is %s", (server) => {
  test.each([
    ["drain", ["drain", "--over", "1"], 0x9c, "drained"],
    ["stop", ["stop"], 0x8b, "shutdown"],
  ])(
    "in a %s the client reads DISCONNECT with its reason, then the end",
    async (_name, words, reasonCode, endCause) => {
      await using gateway = await start();
      const client = await connect(gateway, server);
      await client.subscribe("quiet/#");
      await new Promise((resolve) => setTimeout(resolve, 300)); // a client at rest
      const ended = tell(gateway, ...words);
      expect(await client.received("disconnect")).toMatchObject({ reasonCode });
      expect(await client.ended()).toBe("clean");
      expect(await gateway.access()).toMatchObject({ end_cause: endCause, status: 200, protocol: "mqtt" });
      expect((await ended).code).toBe(0);
      expect(client.packets.map(({ cmd }) => cmd)).toEqual(["connack", "suback", "disconnect"]);
      client.destroy();
    },
  );
});
