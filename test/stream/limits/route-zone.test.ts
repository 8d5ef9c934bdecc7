import { expect, test } from "vitest";
import { bytes } from "../../../src/preread/bytes.ts";
import { http } from "../../../src/preread/http.ts";
import { mqtt } from "../../../src/preread/mqtt.ts";
import { tls } from "../../../src/preread/tls.ts";
import { content, dispatch, proxy, reject } from "../../../src/stream/action.ts";
import { routeZones } from "../../../src/stream/limits/route-zone.ts";
import { on, otherwise, type Route, silent } from "../../../src/stream/route.ts";

const different = (): Route[] => [
  on(tls({ serverName: "one.test" }), proxy("broker")),
  on(tls({ serverName: "other.test" }), proxy("broker")),
  on(mqtt({ clientId: "bot-*" }), proxy("broker")),
  on(mqtt(), proxy("broker")),
  on(mqtt(), proxy("other")),
  on(http(), proxy("broker")),
  on(http({ path: "/a" }), proxy("broker")),
  on(bytes("a"), dispatch("inner")),
  on(bytes("ab"), dispatch("inner")),
  on(bytes("ab"), dispatch("outer")),
  silent(1_000, proxy("broker")),
  otherwise(reject("closed")),
  otherwise(content(() => {})),
];

test("routes that differ in what they ask for or do count for themselves", () => {
  expect(new Set(routeZones("edge", different())).size).toBe(different().length);
});

test("a route counts under its name wherever it stands, and however often the configuration is read", () => {
  const before = routeZones("edge", different());
  expect(routeZones("edge", different().reverse())).toEqual([...before].reverse());
  expect(routeZones("other", different())).not.toContain(before[0]);
});

test("routes that nobody can tell apart are numbered", () => {
  const twins = [1, 2].map((version) => on(mqtt({ clientId: (id) => id.length > version }), proxy("broker")));
  expect(new Set(routeZones("edge", twins)).size).toBe(2);
});
