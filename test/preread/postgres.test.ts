import { describe, expect, test } from "vitest";
import { postgres } from "../../src/preread/postgres.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";

const SSL = 80877103;
const GSSENC = 80877104;
const CANCEL = 80877102;
const V3 = 3 << 16;

function packet(code: number, body = "", length = 8 + Buffer.byteLength(body)): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(length, 0);
  header.writeUInt32BE(code, 4);
  return Buffer.concat([header, Buffer.from(body)]);
}

const startup = (parameters: Record<string, string>, code = V3): Buffer =>
  packet(code, `${Object.entries(parameters).flat().join("\0")}\0\0`);

const samples: readonly Sample[] = [
  { name: "SSLRequest", bytes: packet(SSL), verdict: "match", info: { kind: "ssl" } },
  { name: "GSSENCRequest", bytes: packet(GSSENC), verdict: "match", info: { kind: "gssenc" } },
  { name: "CancelRequest", bytes: packet(CANCEL, "\0\0\x12\x34key!"), verdict: "match", info: { kind: "cancel" } },
  { name: "CancelRequest of 3.2", bytes: packet(CANCEL, `pid!${"k".repeat(256)}`), verdict: "match" },
  {
    name: "psql's startup message",
    bytes: startup({ user: "bob", database: "shop", application_name: "psql", client_encoding: "UTF8" }),
    verdict: "match",
    info: { kind: "startup", version: "3.0", user: "bob", database: "shop", applicationName: "psql" },
  },
  {
    name: "a startup message of 3.2 without database",
    bytes: Buffer.concat([startup({ user: "zoë", options: "" }, V3 + 2), Buffer.from("p")]),
    verdict: "match",
    info: { kind: "startup", version: "3.2", user: "zoë", database: "zoë", applicationName: undefined },
  },
  { name: "half a startup message", bytes: startup({ user: "bob" }).subarray(0, 12), verdict: "more" },
  { name: "one byte", bytes: Buffer.of(0), verdict: "more" },
  { name: "protocol 2", bytes: packet(2 << 16, "x".repeat(288)), verdict: "mismatch" },
  { name: "SSLRequest of another length", bytes: packet(SSL, "", 9), verdict: "mismatch" },
  { name: "CancelRequest without key", bytes: packet(CANCEL, "pid!"), verdict: "mismatch" },
  { name: "a message too long for the server", bytes: packet(V3, "", 10_005), verdict: "mismatch" },
  { name: "a startup message without user", bytes: startup({ database: "shop" }), verdict: "mismatch" },
  { name: "an empty user", bytes: startup({ user: "", database: "shop" }), verdict: "mismatch" },
  { name: "a startup message with bytes behind its end", bytes: packet(V3, "user\0bob\0\0x\0\0"), verdict: "mismatch" },
  { name: "a startup message without end", bytes: packet(V3, "user\0bob12\0"), verdict: "mismatch" },
  { name: "a name without value", bytes: packet(V3, "user\0bob\0x\0\0"), verdict: "mismatch" },
  { name: "a frame with a length before it", bytes: Buffer.from("\0\0\0\x09hello", "latin1"), verdict: "mismatch" },
];
snifferLaws(postgres(), samples);
promptLaw(postgres(), samples);
snifferLaws(postgres({ user: "app-*", database: (name) => name.startsWith("shop") || name === "app-x" }), [
  { name: "both conditions", bytes: startup({ user: "app-1", database: "shop2" }), verdict: "match" },
  { name: "another user", bytes: startup({ user: "bob", database: "shop" }), verdict: "mismatch" },
  { name: "another database", bytes: startup({ user: "app-1" }), verdict: "mismatch" },
  { name: "SSLRequest, which names nobody", bytes: packet(SSL), verdict: "mismatch" },
]);

describe("postgres()", () => {
  test("decides on SSLRequest with its eighth byte and on other codes with the fifth", () => {
    expect(postgres().sniff(packet(SSL).subarray(0, 7))).toEqual({ kind: "more", atLeast: 8 });
    expect(postgres().sniff(Buffer.of(0, 0, 0, 20, 0x7b)).kind).toBe("mismatch");
    expect(postgres().sniff(Buffer.from("\0\0\x40", "latin1")).kind).toBe("mismatch");
  });

  test("gives examples that fulfil its conditions", () => {
    const { examples } = postgres({ database: "shop" });
    expect(examples.map((bytes) => Buffer.from(bytes).includes("database\0shop\0"))).toEqual([true]);
  });

  test("never tells the secret key of a cancel", () => {
    expect(JSON.stringify(postgres().sniff(packet(CANCEL, "pid!secret")))).toBe(
      '{"kind":"match","info":{"kind":"cancel"}}',
    );
  });
});
