import { describe, expect, test } from "vitest";
import type { GatewayConfig } from "../../../src/gateway.ts";
import type { Sniffer } from "../../../src/preread/sniffer.ts";
import { ConfigError } from "../../../src/worker/config/config-error.ts";
import { loadConfig } from "../../../src/worker/config/load-config.ts";
import { validate } from "../../../src/worker/config/validate.ts";
import { sampleSession } from "../../support/balancer-session.ts";
import { TempFolder } from "../temp-folder.ts";

const HOOKS = "export function access() {}\nexport async function log() {}\n";

/** Loads and checks a configuration in YAML. */
async function fromYaml(text: string): Promise<GatewayConfig> {
  using folder = new TempFolder({
    "c.yaml": text,
    "hooks.ts": HOOKS,
    "wrong.ts": "export const acess = 1, log = 2;",
    "whole.ts": "export default { log() {} };",
  });
  return validate(await loadConfig("c.yaml", folder.path));
}

/** What is wrong with it, without the folder's name. */
async function faults(text: string): Promise<readonly string[]> {
  try {
    await fromYaml(text);
    return [];
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    return cause.lines.map((line) => line.replaceAll(/\S*\/restyconf-test-\w+\//g, ""));
  }
}

const base = (routes: string): string =>
  `upstreams: { api: { peers: ["h:80"] }, game: { peers: ["h:81"] } }\nservers:\n  edge:\n    listen: 127.0.0.1:0\n    routes:\n${routes}`;
const routeOf = async (route: string) => (await fromYaml(base(`      - ${route}`))).servers["edge"]?.routes[0];

async function snifferOf(when: string): Promise<Sniffer> {
  const route = await routeOf(`{ ${when}, proxy: api }`);
  if (route?.kind !== "on") throw new Error("no sniffer");
  return route.sniffer;
}

describe("a route as data", () => {
  test.each([
    ["{ on: ssh, proxy: api }", { kind: "on", action: { kind: "proxy", upstream: "api" } }],
    ["{ on: ssh, reject: closed }", { kind: "on", action: { kind: "reject", reason: "closed", status: 403 } }],
    ["{ silentMs: 3000, proxy: game }", { kind: "silent", afterMs: 3000, action: { kind: "proxy", upstream: "game" } }],
    ["{ silentMs: 0, proxy: game }", { kind: "silent", afterMs: 0 }],
    ["{ on: ssh, proxy: api, limits: [{ conn: 1, per: subnet }] }", { limits: [{ conn: 1, per: "subnet" }] }],
    [
      "{ silentMs: 0, proxy: api, limits: [{ req: 1, per: { var: x } }] }",
      { kind: "silent", limits: [{ req: 1, per: { var: "x" } }] },
    ],
    [
      "{ otherwise: true, reject: no, limits: [{ conn: 1, per: ja4 }] }",
      { kind: "otherwise", limits: [{ conn: 1, per: "ja4" }] },
    ],
    ["{ otherwise: true, reject: no }", { kind: "otherwise", action: { reason: "no", status: 403 } }],
    [
      "{ otherwise: true, reject: { reason: no, status: 503 } }",
      { kind: "otherwise", action: { kind: "reject", reason: "no", status: 503 } },
    ],
    [
      "{ on: ssh, reject: { reason: no, retryAfterMs: 500, redirect: 'b.example:22' } }",
      { kind: "on", action: { reason: "no", status: 403, retryAfterMs: 500, redirect: "b.example:22" } },
    ],
  ])("%s becomes what code would have written", async (route, made) => {
    expect(await routeOf(route)).toMatchObject(made);
  });

  test.each([
    "amqp",
    "dns",
    "http",
    "http2",
    "mqtt",
    "msgpack",
    "postgres",
    "rdp",
    "redis",
    "socks",
    "ssh",
    "tls",
    "xmpp",
  ])("knows the sniffer %s", async (name) => {
    const sniffer = await snifferOf(`on: ${name}`);
    expect(sniffer.name).toBe(name);
    for (const example of sniffer.examples) expect(sniffer.sniff(example).kind).toBe("match");
  });

  const get = Buffer.from("GET /a HTTP/1.1\r\nHost: x.test\r\nX-Id: 7\r\n\r\n");
  test.each([
    [`on: http, when: { host: "*.test" }`, get, "match"],
    [`on: http, when: { host: "*.example" }`, get, "mismatch"],
    [`on: http, when: { host: "/x.test/" }`, get, "mismatch"],
    [`on: http, when: { host: { pattern: "^X[.]TEST$", flags: i }, path: /a, method: GET }`, get, "match"],
    [`on: http, when: { headers: { x-id: "7" } }`, get, "match"],
    [`on: http, when: { headers: { x-id: "8" } }`, get, "mismatch"],
    [`on: bytes, when: { prefix: "\\x01\\xff" }`, Buffer.of(1, 255), "match"],
    [`on: bytes, when: { pattern: "^ab+c", maxBytes: 10 }`, Buffer.from("abbc"), "match"],
    [`on: bytes, when: { pattern: "^ab+c", flags: i }`, Buffer.from("ABC"), "match"],
    [`on: lengthPrefixed, when: { size: 2, max: 9 }`, Buffer.of(0, 1, 5), "match"],
    [
      `on: lengthPrefixed, when: { size: 2, max: 9, endian: little, includesHeader: true }`,
      Buffer.of(3, 0, 5),
      "match",
    ],
    [
      `on: lengthPrefixed, when: { size: 1, max: 9, inner: { on: bytes, when: { prefix: a } } }`,
      Buffer.from("\x01a"),
      "match",
    ],
    [
      `on: lengthPrefixed, when: { size: 1, max: 9, inner: { on: bytes, when: { prefix: a } } }`,
      Buffer.from("\x01b"),
      "mismatch",
    ],
    [`on: msgpack, when: { cmd: login }`, Buffer.from("81a3636d64a56c6f67696e", "hex"), "match"],
    [`on: msgpack, when: { cmd: 7 }`, Buffer.from("81a3636d6407", "hex"), "match"],
    [`on: msgpack, when: { cmd: logout }`, Buffer.from("81a3636d64a56c6f67696e", "hex"), "mismatch"],
  ])("{ %s } sniffs as written", async (when, bytes, verdict) => {
    expect((await snifferOf(when)).sniff(bytes).kind).toBe(verdict);
  });

  test.each([
    ["{ on: shh, proxy: api }", `6:15: servers.edge.routes[0].on: expected "bytes", "http"`],
    ["{ proxy: api }", `6:9: servers.edge.routes[0].on: expected "bytes", "http"`],
    [
      "{ on: ssh, when: { version: 2 }, proxy: api }",
      "6:28: servers.edge.routes[0].when.version: unknown key, expected none",
    ],
    [
      "{ on: mqtt, when: { clientID: x }, proxy: api }",
      `6:29: servers.edge.routes[0].when.clientID: unknown key, did you mean "clientId"?`,
    ],
    [
      "{ on: mqtt, when: { version: 6 }, proxy: api }",
      "6:38: servers.edge.routes[0].when.version: expected 3, 4 or 5, got 6",
    ],
    [
      `{ on: http, when: { host: { pattern: "(" } }, proxy: api }`,
      "6:35: servers.edge.routes[0].when.host: Invalid regular expression",
    ],
    [
      "{ on: http, when: { host: 5 }, proxy: api }",
      "6:35: servers.edge.routes[0].when.host: expected text, or { pattern }, got 5",
    ],
    ["{ on: bytes, proxy: api }", "6:9: servers.edge.routes[0].when: expected one of prefix and pattern"],
    [
      "{ on: bytes, when: { prefix: a, pattern: b }, proxy: api }",
      "6:28: servers.edge.routes[0].when: expected one of prefix and pattern",
    ],
    [
      "{ on: lengthPrefixed, when: { size: 3, max: 1 }, proxy: api }",
      "6:45: servers.edge.routes[0].when.size: expected 1, 2 or 4, got 3",
    ],
    [
      "{ on: lengthPrefixed, when: { size: 1, max: 300 }, proxy: api }",
      "6:37: servers.edge.routes[0].when: lengthPrefixed: max",
    ],
    [
      "{ on: ssh, proxy: apu }",
      `6:27: servers.edge.routes[0].proxy: expected the name of an upstream (api, game), got "apu"; did you mean "api"?`,
    ],
    [
      "{ on: ssh, proxy: api, reject: no }",
      "6:9: servers.edge.routes[0]: expected one of proxy, reject and dispatch, got 2",
    ],
    ["{ on: ssh }", "6:9: servers.edge.routes[0]: expected one of proxy, reject and dispatch, got none"],
    [
      "{ on: ssh, silentMs: 1, proxy: api }",
      "6:11: servers.edge.routes[0].on: unknown key, expected one of silentMs, proxy, reject, dispatch",
    ],
    ["{ otherwise: yes, reject: no }", `6:22: servers.edge.routes[0].otherwise: expected true, got "yes"`],
    [
      "{ otherwise: true, reject: { reason: no, status: 5 } }",
      "6:58: servers.edge.routes[0].reject.status: expected a whole number from 100 to 599, got 5",
    ],
    [
      "{ otherwise: true, reject: { reason: no, redirect: b c } }",
      `6:60: servers.edge.routes[0].reject.redirect: expected an address without spaces, got "b c"`,
    ],
    ["5", "6:9: servers.edge.routes[0]: expected a route: { on, when, proxy }"],
  ])("%s is wrong, and the message names its place", async (route, line) => {
    const [first = "", ...more] = (await faults(base(`      - ${route}`))).toReversed(); // the missing key comes last
    expect(
      [first, ...more].some((fault) => fault.startsWith(`c.yaml:${line}`)),
      first,
    ).toBe(true);
  });
});

describe("an upstream as data", () => {
  const upstream = async (keys: string) =>
    (await fromYaml(`${base("      - { otherwise: true, proxy: api }")}`.replace(`peers: ["h:80"]`, keys))).upstreams?.[
      "api"
    ];

  test.each([
    ["round-robin", "round-robin"],
    ["least-conn", "least-conn"],
    ["random-two", "random-two"],
  ])("has the balancer %s", async (name) => {
    const made = (await upstream(`peers: ["h:80"], balancer: ${name}`))?.balancer;
    expect(made?.pick).toBeTypeOf("function");
  });

  test("may take its peers from the registry", async () => {
    expect((await upstream("peers: { registry: game }"))?.peers).toEqual({ kind: "registry", service: "game" });
  });

  test.each([
    "remote_addr",
    "remote_port",
    "server_addr",
    "server_port",
    "server",
    "protocol",
    "ssl_server_name",
    "ssl_alpn",
    "ssl_ja4",
    "info.clientId",
    "info.value.cmd",
  ])("may hash %s", async (variable) => {
    const made = (await upstream(`peers: ["h:80"], balancer: { hash: ${variable} }`))?.balancer;
    expect(made?.name).toBe("hash");
  });

  test.each([
    ["remote_addr", { remote: { host: "192.0.2.7", port: 1 } }, { remote: { host: "192.0.2.8", port: 1 } }],
    ["info.value.cmd", { info: { value: { cmd: "a" } } }, { info: { value: { cmd: "b" } } }],
    ["info.n", { info: { n: 1 } }, { info: { n: 2 } }],
    ["ssl_server_name", { ssl: { serverName: "a.test" } }, { ssl: { serverName: "b.test" } }],
  ])("hashes by the value of %s", async (variable, one, other) => {
    const made = (await upstream(`peers: ["h:80"], balancer: { hash: ${variable} }`))?.balancer;
    const pick = (facts: object): string => {
      const peers = Array.from({ length: 64 }, (_, index) => peer(`10.0.0.${index}:80`));
      const [first, ...more] = peers;
      if (!first || !made) throw new Error("no peer");
      return made.pick([first, ...more], { session: { ...sampleSession(), ...facts }, attempt: 1, active: () => 0 })
        .address;
    };
    expect(pick(one)).toBe(pick({ ...one, id: "2" }));
    expect(pick(one)).not.toBe(pick(other));
  });

  test.each([
    [
      "balancer: least-con",
      `2:`,
      `upstreams.api.balancer: expected "round-robin", "least-conn" or "random-two", got "least-con"`,
    ],
    [
      "balancer: 5",
      "2:",
      `upstreams.api.balancer: expected "round-robin", "least-conn", "random-two" or { hash: "remote_addr" }, got 5`,
    ],
    ["balancer: { hash: remote }", "2:", "upstreams.api.balancer.hash: expected a variable (remote_addr, "],
    ["balancer: { hash: info. }", "2:", "upstreams.api.balancer.hash: expected a variable (remote_addr, "],
    ["balancer: { hsh: info.x }", "2:", `upstreams.api.balancer.hsh: unknown key, did you mean "hash"?`],
  ])("%s is wrong", async (keys, _, text) => {
    const lines = await faults(
      base("      - { otherwise: true, proxy: api }").replace(`["h:80"]`, `["h:80"], ${keys}`),
    );
    expect(lines.join("\n")).toContain(text);
    expect(lines[0]).toMatch(/^c\.yaml:1:\d+: /);
  });
});

function peer(address: string) {
  const endpoint = { kind: "tcp", host: address, port: 80 } as const;
  const limits = { maxConns: Infinity, maxFails: 1, failTimeoutMs: 1 };
  return { address, endpoint, weight: 1, backup: false, mode: "ready", tags: [], ...limits } as const;
}

describe("hooks of a configuration in data", () => {
  const route = "      - { otherwise: true, reject: no }";

  test("are the exports of the module that it names", async () => {
    const { servers } = await fromYaml(`${base(route)}\n    phases: ./hooks.ts`);
    expect(Object.keys(servers["edge"]?.phases ?? {}).sort()).toEqual(["access", "log"]);
  });

  test("may be one object that the module exports by default", async () => {
    const { servers } = await fromYaml(`${base(route)}\n    phases: ./whole.ts`);
    expect(Object.keys(servers["edge"]?.phases ?? {})).toEqual(["log"]);
  });

  test("that are none are named, each", async () => {
    expect(await faults(`${base(route)}\n    phases: ./wrong.ts`)).toEqual([
      "c.yaml:7:13: servers.edge.phases.log: expected a function, got 2",
      `c.yaml:7:13: servers.edge.phases.acess: unknown key, did you mean "access"?`,
    ]);
  });

  test("in a module that cannot be loaded are reported with the reason", async () => {
    expect(await faults(`${base(route)}\n    phases: ./gone.ts`)).toEqual([
      expect.stringMatching(/^c\.yaml:7:13: servers\.edge\.phases: Could not resolve/),
    ]);
  });

  test("cannot be written in the data itself", async () => {
    expect(await faults(`${base(route)}\n    phases: { log: x }`)).toEqual([
      "c.yaml:7:13: servers.edge.phases: expected the path of a module, got an object",
    ]);
  });
});

test("faults come in the order of the file, each with its place", async () => {
  const text = `workers: 0\nservers:\n  edge:\n    rotes: []\n    listen: x\nlog: { levl: info }\n`;
  expect((await faults(text)).map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
    "c.yaml:1:10: workers:",
    "c.yaml:3:3: servers.edge.routes:",
    "c.yaml:4:5: servers.edge.rotes:",
    "c.yaml:5:13: servers.edge.listen:",
    "c.yaml:6:8: log.levl:",
  ]);
});

test("JSON has the same form and the same places", async () => {
  using folder = new TempFolder({
    "c.json": `{\n  "servers": {\n\t"edge": { "listen": "127.0.0.1:0", "routes": [{ "otherwise": true, "reject": "no", "x": 1 }] }\n  }\n}`,
  });
  const loaded = await loadConfig("c.json", folder.path);
  expect(() => validate(loaded)).toThrow(/c\.json:3:85: servers\.edge\.routes\[0\]\.x: unknown key/);
});

test("an alias is checked like what it stands for", async () => {
  const text = base("      - &one { otherwise: true, reject: no }\n  twin: { listen: 127.0.0.1:0, routes: [*one, 5] }");
  expect(await faults(text)).toEqual([
    expect.stringMatching(/^c\.yaml:7:41: servers\.twin\.routes\[0\]: otherwise must be the last route$/),
    expect.stringMatching(/^c\.yaml:7:47: servers\.twin\.routes\[1\]: expected a route/),
  ]);
});
