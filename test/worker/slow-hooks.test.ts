import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import type { GatewayConfig } from "../../src/gateway.ts";
import { content, proxy } from "../../src/stream/action.ts";
import { otherwise } from "../../src/stream/route.ts";
import { hasHooks } from "../../src/worker/slow-hooks/has-hooks.ts";
import { placeOf } from "../../src/worker/slow-hooks/place.ts";
import type { Frame } from "../../src/worker/slow-hooks/words.ts";

const OWN = pathToFileURL(dirname(fileURLToPath(new URL("../../src/index.ts", import.meta.url))));
const frame = (url: string, functionName = "", line = 0): Frame => ({ url, functionName, line, column: 4 });

describe("the place of a slow hook", () => {
  const own = frame(`${OWN}/stream/hooks.ts`, "run");
  const node = frame("node:internal/crypto", "pbkdf2Sync");

  test.each<[string, readonly Frame[], unknown]>([
    ["is undefined where nobody's code is on the stack", [node, own], undefined],
    [
      "is the innermost and the outermost line of the user's code",
      [node, frame("file:///u/a.js", "inner", 6), frame("file:///u/b.js", "between"), frame("file:///u/c.js"), own],
      { at: "inner (/u/a.js:7:5)", from: "/u/c.js:1:5" },
    ],
    ["is one line where there is no other", [frame("/u/a.cjs"), own], { at: "/u/a.cjs:1:5", from: undefined }],
    [
      "passes over packages",
      [frame("file:///u/node_modules/p/i.js", "hash"), frame("file:///u/a.js", "hook"), own],
      { at: "hook (/u/a.js:1:5)", from: undefined },
    ],
    [
      "is in a package where it calls back by itself",
      [node, frame("file:///u/node_modules/p/i.js", "onData"), own],
      { at: "onData (/u/node_modules/p/i.js:1:5)", from: undefined },
    ],
  ])("%s", (_, frames, place) => expect(placeOf(frames)).toEqual(place));
});

describe("a configuration has hooks", () => {
  const config = (more: object, route = otherwise(proxy("u"))): GatewayConfig => ({
    servers: { edge: { listen: "h:1", routes: [route], ...more } },
  });

  test.each<[string, GatewayConfig, boolean]>([
    ["not when there are none", config({}), false],
    [
      "not for what runs without sessions, or is timed",
      { ...config({ phases: { set: {} } }), phases: { init() {} } },
      false,
    ],
    ["with a hook of a server", config({ phases: { access() {} } }), true],
    ["with a hook of the gateway", { ...config({}), phases: { log() {} } }, true],
    ["with a content handler", config({}, otherwise(content(() => {}))), true],
    ["not when the hook is left out", config({ phases: { access: undefined } }), false],
  ])("%s", (_, given, expected) => expect(hasHooks(given)).toBe(expected));
});
