import { expect, test } from "vitest";
import { http, mqtt, tls } from "../../src/preread/index.ts";
import { proxy, reject } from "../../src/stream/action.ts";
import { compileRoutes } from "../../src/stream/choose-route.ts";
import { on, otherwise, silent } from "../../src/stream/route.ts";

const a = proxy("a");
const b = proxy("b");
const c = proxy("c");
const d = proxy("d");
const names = (sniffers: readonly { readonly name: string }[]): readonly string[] => sniffers.map(({ name }) => name);

test("no routes are an empty table", () => {
  const none = { passthrough: undefined, silent: undefined, otherwise: undefined };
  expect(compileRoutes([])).toEqual({ sniffers: [], actions: [], limits: [], ...none });
});

test("sniffers keep the order of their routes, each beside its action", () => {
  const { sniffers, actions } = compileRoutes([on(mqtt(), a), silent(1, c), on(http(), b), on(mqtt(), c)]);
  expect(names(sniffers)).toEqual(["mqtt", "http", "mqtt"]);
  expect(actions).toEqual([a, b, c]);
});

test("tls routes are asked about a hello by themselves, and stand in the main table too", () => {
  const routes = [on(tls({ serverName: "x" }), a), on(http(), b), on(tls(), c), silent(1, d), otherwise(d)];
  const { sniffers, passthrough } = compileRoutes(routes);
  expect(names(sniffers)).toEqual(["tls", "http", "tls"]);
  expect(passthrough?.actions).toEqual([a, c]);
  expect(passthrough).toMatchObject({ passthrough: undefined, silent: undefined, otherwise: undefined });
});

test("silent and otherwise count wherever they stand, and the first of each", () => {
  const refusal = reject("no");
  const routes = [otherwise(refusal), silent(5, refusal), on(http(), proxy("web")), silent(9, proxy("web"))];
  const table = compileRoutes(routes);
  expect(table.otherwise?.action).toBe(refusal);
  expect(table.silent).toMatchObject({ afterMs: 5, action: refusal });
});
