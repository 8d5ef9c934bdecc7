import { rdp } from "../../src/preread/rdp.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";

/** A connection request around what follows the class. */
function request(body: Buffer | string, { code = 0xe0, extra = 0 } = {}): Buffer {
  const rest = Buffer.from(body);
  const length = 11 + rest.length + extra;
  return Buffer.concat([Buffer.of(3, 0, length >> 8, length & 0xff, length - 5, code, 0, 0, 0, 0, 0), rest]);
}

const negotiation = (bits: number): Buffer => Buffer.of(1, 0, 8, 0, bits, 0, 0, 0);
const correlation = Buffer.concat([Buffer.of(6, 0, 36, 0), Buffer.alloc(32, 0x41)]);
const cookie = Buffer.from("Cookie: mstshash=alice\r\n");

const samples: readonly Sample[] = [
  {
    name: "MS-RDPBCGR §4.1.1: a cookie and a negotiation request",
    bytes: Buffer.concat([request(Buffer.concat([cookie, negotiation(0x0b)])), Buffer.of(3)]),
    verdict: "match",
    info: { cookie: "alice", routingToken: undefined, protocols: ["tls", "credssp", "credssp-ex"] },
  },
  {
    name: "a broker's routing token",
    bytes: request(Buffer.concat([Buffer.from("Cookie: msts=3640205228.15629.0000\r\n"), negotiation(0)])),
    verdict: "match",
    info: { cookie: undefined, routingToken: "msts=3640205228.15629.0000", protocols: [] },
  },
  {
    name: "an old client without anything",
    bytes: request(""),
    verdict: "match",
    info: { cookie: undefined, routingToken: undefined, protocols: [] },
  },
  { name: "a correlation id", bytes: request(Buffer.concat([negotiation(0x14), correlation])), verdict: "match" },
  { name: "half a request", bytes: request(cookie).subarray(0, 20), verdict: "more" },
  { name: "a byte", bytes: Buffer.of(3), verdict: "more" },
  { name: "a data unit", bytes: request("", { code: 0xf0 }), verdict: "mismatch" },
  { name: "lengths that do not agree", bytes: Buffer.of(3, 0, 0, 12, 6, 0xe0, 0, 0, 0, 0, 0, 0), verdict: "mismatch" },
  { name: "a length that X.224 cannot have", bytes: Buffer.of(3, 0, 1, 4, 0xff), verdict: "mismatch" },
  { name: "a cookie without line end", bytes: request("Cookie: mstshash=alice"), verdict: "mismatch" },
  {
    name: "an S7 controller's request",
    bytes: request(Buffer.from("c0010ac1020100c2020102", "hex")),
    verdict: "mismatch",
  },
  { name: "SOCKS", bytes: Buffer.of(5, 1, 0), verdict: "mismatch" },
];
snifferLaws(rdp(), samples);
promptLaw(rdp(), samples);
