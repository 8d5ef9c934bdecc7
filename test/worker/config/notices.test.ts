import { expect, test } from "vitest";
import { defineGateway, on, otherwise, reject } from "../../../src/index.ts";
import { ssh } from "../../../src/preread/index.ts";
import { nodeNotice, noticesOf } from "../../../src/worker/config/notices.ts";

const edge = { listen: "127.0.0.1:0", routes: [otherwise(reject("no"))] };

test.each([
  ["20.20.2", "2026-04-30T12:00:00Z", undefined],
  ["20.20.2", "2026-11-22T00:00:00Z", "Node.js 20.20.2 has had no security fixes since 2026-04-30; use 24"],
  ["21.0.0", "2026-01-01T00:00:00Z", "Node.js 21.0.0 has had no security fixes since 2024-06-01; use 24"],
  ["22.23.3", "2026-11-22T00:00:00Z", undefined],
  ["22.23.3", "2027-05-01T00:00:00Z", "Node.js 22.23.3 has had no security fixes since 2027-04-30; use 24"],
  ["24.21.0", "2026-11-22T00:00:00Z", undefined],
  ["99.0.0", "2099-01-01T00:00:00Z", undefined],
])("Node %s on %s: %s", (version, now, notice) => {
  expect(nodeNotice(version, new Date(now))).toBe(notice);
});

test("a right configuration needs no word", () => {
  expect(noticesOf(defineGateway({ workers: 1, redis: undefined, servers: { edge } }))).toEqual([]);
});

test("each key that does nothing yet is named once", () => {
  const config = defineGateway({
    workers: "auto",
    redis: "redis://user:secret@host",
    registry: "keys",
    masterId: 1,
    shared: {},
    stateDir: "state",
    admin: { listen: "127.0.0.1:1" },
    servers: { edge },
  });
  const notices = noticesOf(config);
  expect(notices).toEqual(["admin: not used by this version"]);
});

test("routes that overlap are named", () => {
  const routes = [on(ssh(), reject("a")), on(ssh(), reject("b"))];
  expect(noticesOf(defineGateway({ servers: { edge: { ...edge, routes } } }))).toEqual([
    expect.stringContaining("routes[1] (ssh) may never be reached"),
  ]);
});
