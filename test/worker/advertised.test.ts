import { expect, test } from "vitest";
import { advertisedAddress } from "../../src/worker/advertised.ts";

const four = { address: "10.0.0.9", family: "IPv4", internal: false } as const;
const six = { address: "2001:db8::9", family: "IPv6", internal: false } as const;
const own = { address: "127.0.0.1", family: "IPv4", internal: true } as const;

test.each([
  [
    "what the configuration says",
    "game.example:5050",
    "0.0.0.0:5050",
    { lo: [own], eth0: [four] },
    "game.example:5050",
  ],
  ["where it listens", undefined, "10.1.2.3:5050", { eth0: [four] }, "10.1.2.3:5050"],
  ["a unix socket's path", undefined, "unix:/run/edge.sock", { eth0: [four] }, "unix:/run/edge.sock"],
  [
    "the machine's address for IPv4's wildcard",
    undefined,
    "0.0.0.0:5050",
    { lo: [own], eth0: [six, four] },
    "10.0.0.9:5050",
  ],
  [
    "the machine's address for IPv6's wildcard",
    undefined,
    "[::]:5050",
    { lo: [own], eth0: [six] },
    "[2001:db8::9]:5050",
  ],
  ["IPv4 first, which both have", undefined, "[::]:5050", { eth0: [six], eth1: [four] }, "10.0.0.9:5050"],
  ["no IPv6 for who listens on IPv4 alone", undefined, "0.0.0.0:5050", { lo: [own], eth0: [six] }, "0.0.0.0:5050"],
  ["the wildcard on a machine without network", undefined, "0.0.0.0:5050", { lo: [own] }, "0.0.0.0:5050"],
  ["nothing for who does not listen", undefined, undefined, { eth0: [four] }, ""],
])("advertises %s", (_, advertise, listening, interfaces, address) => {
  expect(advertisedAddress(advertise, listening, interfaces)).toBe(address);
});
