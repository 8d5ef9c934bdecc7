import { expectTypeOf, test } from "vitest";
import { line } from "../../../src/codecs/line.ts";
import type { MqttPacket } from "../../../src/codecs/mqtt/mqtt.ts";
import { mqtt } from "../../../src/codecs/mqtt/mqtt.ts";
import { defineGateway, type FilterSession, frames, otherwise, proxy } from "../../../src/index.ts";

const edge = { listen: "127.0.0.1:0", routes: [otherwise(proxy("api"))] };
const upstreams = { api: { peers: ["127.0.0.1:1"] } };

test("filters know what they are handed, in every form", () => {
  defineGateway({
    upstreams,
    servers: {
      edge: {
        ...edge,
        phases: {
          bodyFilter: {
            client: (chunk, session) => {
              expectTypeOf(chunk).toEqualTypeOf<Buffer>();
              expectTypeOf(session).toEqualTypeOf<FilterSession>();
              expectTypeOf(session.inject("client", chunk)).toEqualTypeOf<boolean>();
              return [chunk, "text"];
            },
            upstream: [
              { chunk: async (chunk) => chunk.length.toString(), end: (session) => session.id },
              frames(mqtt(), (packet, session) => {
                expectTypeOf(packet).toEqualTypeOf<MqttPacket>();
                expectTypeOf(session).toEqualTypeOf<FilterSession>();
                if (packet.cmd === "publish") return { ...packet, topic: "x" };
                return packet.cmd === "pingreq" ? null : undefined;
              }),
            ],
          },
        },
      },
    },
  });
});

test("what filters may not do does not compile", () => {
  // @ts-expect-error no number is a chunk
  defineGateway({ upstreams, servers: { edge: { ...edge, phases: { bodyFilter: { client: () => 5 } } } } });
  // @ts-expect-error there are two sides
  defineGateway({ upstreams, servers: { edge: { ...edge, phases: { bodyFilter: { server: () => null } } } } });
  // @ts-expect-error a line is text
  frames(line(), () => 5);
  // @ts-expect-error filters have no reader
  const read = (session: FilterSession): unknown => session.reader;
  // @ts-expect-error what is written to the client is injected
  const write = (session: FilterSession): unknown => session.write("x");
  expectTypeOf(read).toBeFunction();
  expectTypeOf(write).toBeFunction();
});
