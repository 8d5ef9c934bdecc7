import { describe, expect, test } from "vitest";
import { dispatch, leastConn, on, otherwise, proxy, reject, silent } from "../../../src/index.ts";
import { http, ssh } from "../../../src/preread/index.ts";
import { ConfigError } from "../../../src/worker/config/config-error.ts";
import { validate } from "../../../src/worker/config/validate.ts";
import everyKey from "../../fixtures/every-key.config.ts";

const route = otherwise(reject("no"));
const edge = { listen: "127.0.0.1:0", routes: [route] };

/** What is wrong with a configuration in code: one line each. */
function faults(config: unknown): readonly string[] {
  try {
    validate({ config, path: "/x/restyconf.config.js", baseDir: "/x" });
    return [];
  } catch (cause) {
    if (cause instanceof ConfigError) return cause.lines;
    throw cause;
  }
}

const filterWanted = "expected a function, { chunk, end }, frames(…) or httpBody(…)";

const limit =
  "expected a limit: { conn, per }, { req, per }, { count, windowMs, per }, { capacity, intervalMs, per } or { bytesPerSecond, per }";

const upstream = (keys: object): unknown => ({ upstreams: { api: { peers: ["h:80"], ...keys } }, servers: { edge } });
const server = (keys: object): unknown => ({ servers: { edge: { ...edge, ...keys } } });
const routes = (...list: readonly unknown[]): unknown => ({
  ...object(upstream({})),
  servers: { edge: { ...edge, routes: list } },
});

function object(value: unknown): object {
  return typeof value === "object" && value !== null ? value : {};
}

describe("a right configuration", () => {
  test("of every key passes, and comes back frozen to its last list", () => {
    const config = validate({ config: everyKey, path: "/x/c.ts", baseDir: "/x" });
    expect(config.servers["edge"]?.routes).toHaveLength(6);
    const parts = [
      config,
      config.servers,
      config.servers["edge"],
      config.servers["edge"]?.routes,
      config.servers["edge"]?.routes[0],
      config.servers["edge"]?.routes[0]?.action,
      config.servers["edge"]?.listen,
      config.servers["edge"]?.limits,
      config.servers["edge"]?.limits?.[5],
      config.servers["edge"]?.routes[1]?.limits,
      config.servers["edge"]?.ssl,
      config.servers["edge"]?.phases,
      config.upstreams?.["broker"]?.peers,
      config.shared,
      config.log,
    ];
    for (const part of parts) expect(part).toSatisfy(Object.isFrozen);
  });

  test("is copied: the user's own object stays as it was", () => {
    const mine = { servers: { edge: { listen: ["127.0.0.1:0"], routes: [route] } } };
    const config = validate({ config: mine, path: "/x/c.ts", baseDir: "/x" });
    mine.servers.edge.listen.push("127.0.0.1:1");
    expect(config.servers["edge"]?.listen).toEqual(["127.0.0.1:0"]);
  });

  test("keeps balancers, stores, sniffers and objects of the user's classes as they are, and never freezes them", () => {
    class Hooks {
      count = 0;
      log(): void {
        this.count++;
      }
    }
    const mine = {
      hooks: new Hooks(),
      balancer: { name: "mine", turn: 0, pick: (peers: readonly unknown[]) => peers[0] },
      store: { find: () => undefined, asked: 0 },
      sniffer: { ...ssh(), seen: 0 },
    };
    const config = validate({
      config: {
        upstreams: { api: { peers: ["h:80"], balancer: mine.balancer } },
        servers: {
          edge: {
            ...edge,
            ssl: { mode: "auto", certs: mine.store },
            routes: [on(mine.sniffer, proxy("api"))],
            phases: mine.hooks,
          },
        },
      },
      path: "/x/c.ts",
      baseDir: "/x",
    });
    expect(config.upstreams?.["api"]?.balancer).toBe(mine.balancer);
    expect(config.servers["edge"]?.ssl?.certs).toBe(mine.store);
    expect(config.servers["edge"]?.routes[0]).toHaveProperty("sniffer", mine.sniffer);
    expect(config.servers["edge"]?.phases).toBe(mine.hooks);
    for (const own of Object.values(mine)) expect(Object.isFrozen(own)).toBe(false);
  });

  test("may have keys whose value is undefined: they count as absent", () => {
    expect(faults({ redis: undefined, servers: { edge: { ...edge, ssl: undefined, phases: undefined } } })).toEqual([]);
    expect(faults({ servers: undefined })).toEqual([expect.stringMatching(/^servers: .* got nothing$/)]);
  });

  test.each([
    ["0.0.0.0:5050"],
    ["[::]:5050"],
    ["[fe80::1%eth0]:5050"],
    ["localhost:0"],
    ["a_b.example.:65535"],
    ["unix:/run/x.sock"],
  ])("may listen on %s", (listen) => expect(faults(server({ listen }))).toEqual([]));

  test("may have one fixed port on two addresses, and port 0 twice", () => {
    const listen = ["0.0.0.0:5050", "[::]:5050", "127.0.0.1:0", "127.0.0.1:0"];
    expect(faults(server({ listen }))).toEqual([]);
  });
});

describe("a wrong value", () => {
  test.each([
    [null, "expected an object with servers, got null"],
    [[], "expected an object with servers, got an empty list"],
    [{ servers: {} }, "servers: expected an object of servers by name, at least one, got an empty object"],
    [{ servers: { "a b": edge } }, `servers["a b"]: expected a name without white space, of 255 characters at most`],
    [{ servers: { edge }, wokers: 2 }, `wokers: unknown key, did you mean "workers"?`],
    [{ servers: { edge }, workers: 0 }, "workers: expected a whole number from 1 to 1024, got 0"],
    [{ servers: { edge }, workers: "atuo" }, `workers: expected "auto", got "atuo"; did you mean "auto"?`],
    [{ servers: { edge }, machineBits: 18 }, "machineBits: expected a whole number from 4 to 17, got 18"],
    [{ servers: { edge }, masterId: 102 }, "masterId: expected at most 101 for workers 1 and 10 machineBits"],
    [
      { servers: { edge }, masterId: 101, workers: 15 },
      "masterId: expected at most 100 for workers 15 and 10 machineBits",
    ],
    [{ servers: { edge }, workers: 1_021 }, "workers: expected at most 1020 for 10 machineBits, got 1021"],
    [
      { servers: { edge }, masterId: 1, machineBits: 4 },
      "masterId: expected at most 0 for workers 1 and 4 machineBits",
    ],
    [{ servers: { edge }, shared: { a: 10 } }, `shared.a: expected a size like "10m", got 10`],
    [{ servers: { edge }, shared: { a: "0m" } }, `shared.a: expected a size like "10m", got "0m"`],
    [{ servers: { edge }, stateDir: "" }, "stateDir: expected the path of a folder, got empty text"],
    [
      { servers: { edge }, admin: { listen: "0.0.0.0:9080" } },
      `admin.listen: expected a loopback address with port, or unix:/path, got "0.0.0.0:9080"`,
    ],
    [{ servers: { edge }, log: { access: true } }, `log.access: expected "stderr", a path or false, got true`],
    [
      { servers: { edge }, log: { level: "inof" } },
      `log.level: expected "debug", "info", "warn" or "error", got "inof"; did you mean "info"?`,
    ],
    [{ servers: { edge }, phases: { init: 5 } }, "phases.init: expected a function, got 5"],
  ])("of the gateway is named: %#", (config, line) => expect(faults(config)).toEqual([line]));

  const address = "expected host:port, [v6]:port or unix:/path, got";
  test.each([
    [{ listen: 5050 }, `listen: ${address} 5050`],
    [{ listen: "5050" }, `listen: ${address} "5050"`],
    [{ listen: "*:5050" }, `listen: ${address} "*:5050"`],
    [{ listen: "1.2.3:80" }, `listen: ${address} "1.2.3:80"`],
    [{ listen: "h:65536" }, `listen: ${address} "h:65536"`],
    [{ listen: "::1:80" }, `listen: ${address} "::1:80"`],
    [{ listen: "unix:" }, `listen: ${address} "unix:"`],
    [{ listen: `unix:/${"x".repeat(108)}` }, `listen: ${address} "unix:/${"x".repeat(54)}…"`],
    [{ listen: {} }, "listen: expected host:port, [v6]:port or unix:/path, got an empty object"],
    [{ phaseTimeoutMs: { access: 0 } }, "phaseTimeoutMs.access: expected milliseconds from 1 to 2147483647, got 0"],
    [{ phases: { set: { a: 1 } } }, "phases.set.a: expected a function, got 1"],
    [{ phases: { bodyFilter: { clients: 1 } } }, `phases.bodyFilter.clients: unknown key, did you mean "client"?`],
    [{ phases: { bodyFilter: { client: 1 } } }, `phases.bodyFilter.client: ${filterWanted}, got 1`],
    [
      { phases: { bodyFilter: { client: [() => {}, {}] } } },
      `phases.bodyFilter.client[1]: ${filterWanted}, got an empty object`,
    ],
    [{ listen: ["h:1", "h"] }, `listen[1]: ${address} "h"`],
    [{ routes: [] }, "routes: expected a list of routes, got an empty list"],
    [{ routes: {} }, "routes: expected a list of routes, got an empty object"],
    [{ rotes: [] }, `rotes: unknown key, did you mean "routes"?`],
    [{ idleTimeoutMs: 0 }, "idleTimeoutMs: expected milliseconds from 1 to 2147483647, got 0"],
    [{ idleTimeoutMs: 2 ** 31 }, "idleTimeoutMs: expected milliseconds from 1 to 2147483647, got 2147483648"],
    [{ idleTimeoutMs: Number.NaN }, "idleTimeoutMs: expected milliseconds from 1 to 2147483647, got NaN"],
    [{ idleTimeoutMs: 1.5 }, "idleTimeoutMs: expected milliseconds from 1 to 2147483647, got 1.5"],
    [{ keepAliveMs: -1 }, "keepAliveMs: expected milliseconds from 0 to 2147483647, got -1"],
    [{ maxConns: 0 }, "maxConns: expected a whole number from 1, got 0"],
    [{ noDelay: "yes" }, `noDelay: expected true or false, got "yes"`],
    [{ preread: { maxBytes: 65_537 } }, "preread.maxBytes: expected a whole number from 1 to 65536, got 65537"],
    [{ preread: { maxBytes: 0 } }, "preread.maxBytes: expected a whole number from 1 to 65536, got 0"],
    [{ preread: { timeoutMs: 0 } }, "preread.timeoutMs: expected milliseconds from 1 to 2147483647, got 0"],
    [{ proxyProtocol: true }, "proxyProtocol: expected { trust }, got true"],
    [
      { proxyProtocol: { trust: [] } },
      "proxyProtocol.trust: expected a list of addresses and ranges, got an empty list",
    ],
    [
      { proxyProtocol: { trust: ["10.0.0.0/33"] } },
      `proxyProtocol.trust[0]: expected an IP address, a range like 10.0.0.0/8, or unix:, got "10.0.0.0/33"`,
    ],
    [
      { ssl: { mode: "auto" } },
      "ssl.certs: expected a folder, a list of { cert, key }, or a store with find(), got nothing",
    ],
    [
      { ssl: { mode: "atuo", certs: "c" } },
      `ssl.mode: expected "auto", "always" or "starttls", got "atuo"; did you mean "auto"?`,
    ],
    [
      { ssl: { mode: "auto", certs: "c", handshakeTimeoutMs: 0 } },
      "ssl.handshakeTimeoutMs: expected milliseconds from 1 to 2147483647, got 0",
    ],
    [
      { ssl: { mode: "auto", certs: [{ cert: "a.crt", key: "a.key" }] } },
      "ssl.certs[0]: expected { cert, key } in PEM, got an object",
    ],
    [
      { ssl: { mode: "auto", certs: "c", minVersion: "TLS1.2" } },
      `ssl.minVersion: expected "TLSv1", "TLSv1.1", "TLSv1.2" or "TLSv1.3", got "TLS1.2"; did you mean "TLSv1.2"?`,
    ],
    [{ ssl: { mode: "auto", certs: "c", alpn: "h2" } }, `ssl.alpn: expected a list of protocols, got "h2"`],
    [
      { ssl: { mode: "auto", certs: "c", clientCertificate: true } },
      `ssl.clientCertificate: expected "off", "optional" or "required", got true`,
    ],
    [{ limits: { conn: 1 } }, "limits: expected a list of limits, got an object"],
    [{ limits: [{ per: "address" }] }, `limits[0]: ${limit}, got an object`],
    [
      { limits: [{ conn: 1, per: "adress" }] },
      `limits[0].per: expected "address", "subnet", "serverName", "clientId" or "ja4", got "adress"; did you mean "address"?`,
    ],
    [
      { limits: [{ conn: 1, per: "session" }] },
      `limits[0].per: expected "address", "subnet", "serverName", "clientId" or "ja4", got "session"`,
    ],
    [{ limits: [{ conn: 1, per: {} }] }, "limits[0].per.var: expected the name of a variable, got nothing"],
    [{ limits: [{ conn: 0, per: "address" }] }, "limits[0].conn: expected a whole number from 1, got 0"],
    [{ limits: [{ req: 0, per: "address" }] }, "limits[0].req: expected a number above 0, got 0"],
    [{ limits: [{ req: 1, brust: 1, per: "ja4" }] }, `limits[0].brust: unknown key, did you mean "burst"?`],
    [
      { limits: [{ count: 1, per: "ja4" }] },
      "limits[0].windowMs: expected milliseconds from 1 to 2147483647, got nothing",
    ],
    [
      { limits: [{ bytesPerSecond: { up: -1 }, per: "session" }] },
      "limits[0].bytesPerSecond.up: expected a number above 0, got -1",
    ],
    [{ phases: { acess: () => {} } }, `phases.acess: unknown key, did you mean "access"?`],
    [{ phases: [] }, "phases: expected an object of functions, got an empty list"],
  ])("of a server is named: %#", (keys, line) => expect(faults(server(keys))).toEqual([`servers.edge.${line}`]));

  test.each([
    [{ peers: [] }, "peers: expected a list of addresses, or registry and a name, got an empty list"],
    [{ peers: "h:80" }, `peers: expected a list of addresses, or registry and a name, got "h:80"`],
    [{ peers: ["h:0"] }, `peers[0]: ${address} "h:0"`],
    [
      { peers: [{ adress: "h:80" }] },
      `peers[0].address: ${address} nothing`,
      `peers[0].adress: unknown key, did you mean "address"?`,
    ],
    [{ peers: [{ address: "h:80", weight: 0 }] }, "peers[0].weight: expected a whole number from 1 to 65535, got 0"],
    [{ peers: ["h:80", { address: "h:080" }] }, "peers: h:80 is there twice; give it a weight instead"],
    [{ balancer: "least-conn" }, `balancer: expected a balancer, like leastConn(), got "least-conn"`],
    [{ balancer: leastConn }, "balancer: expected a balancer, like leastConn(), got a function"],
    [{ tries: 0 }, "tries: expected a whole number from 1 to 1000, got 0"],
    [{ maxConns: 0 }, "maxConns: expected a whole number from 1, got 0"],
    [{ failTimeoutMs: 0 }, "failTimeoutMs: expected milliseconds from 1 to 2147483647, got 0"],
    [{ proxyProtocol: 3 }, "proxyProtocol: expected 1 or 2, got 3"],
    [{ ssl: true }, "ssl: expected an object; {} is enough, got true"],
    [{ ssl: { verfy: false } }, `ssl.verfy: unknown key, did you mean "verify"?`],
  ])("of an upstream is named: %#", (keys, ...lines) =>
    expect(faults(upstream(keys))).toEqual(lines.map((line) => `upstreams.api.${line}`)),
  );

  test.each([
    [[on(http(), proxy("apu"))], `[0].proxy: expected the name of an upstream (api), got "apu"; did you mean "api"?`],
    [
      [{ kind: "on", sniffer: http, action: proxy("api") }],
      "[0].sniffer: expected a sniffer, like http(), got a function",
    ],
    [
      [{ kind: "on", sniffer: http() }],
      "[0].action: expected proxy(…), content(…), dispatch(…) or reject(…), got nothing",
    ],
    [[otherwise(dispatch("nowhere"))], '[0].dispatch: expected the name of a server (edge), got "nowhere"'],
    [[{ on: "http", proxy: "api" }], "[0]: expected on(…), silent(…) or otherwise(…), got an object"],
    [[http()], "[0]: expected on(…), silent(…) or otherwise(…), got an object"],
    [[silent(-1, proxy("api"))], "[0].afterMs: expected milliseconds from 0 to 2147483647, got -1"],
    [
      [{ kind: "otherwise", action: { kind: "reject", reason: "no", status: 42 } }],
      "[0].action.status: expected a whole number from 100 to 599, got 42",
    ],
    [[otherwise(reject(""))], "[0].action.reason: expected a reason, got empty text"],
    [
      [{ kind: "otherwise", action: { kind: "content", handler: "x" } }],
      `[0].action.handler: expected a function, got "x"`,
    ],
    [
      [on(http(), proxy("api"), { limits: [{ conn: 0, per: "address" }] })],
      "[0].limits[0].conn: expected a whole number from 1, got 0",
    ],
    [[route, on(http(), proxy("api"))], "[0]: otherwise must be the last route"],
    [[silent(1, proxy("api")), silent(2, proxy("api"))], "[1]: expected one silent route only"],
  ])("of a route is named: %#", (list, line) =>
    expect(faults(routes(...list))).toEqual([`servers.edge.routes${line}`]),
  );

  test("an upstream's name is looked for although there are none at all", () => {
    const config = server({ routes: [otherwise(proxy("api"))] });
    expect(faults(config)).toEqual([
      `servers.edge.routes[0].proxy: expected the name of an upstream (there is none), got "api"`,
    ]);
  });

  test("is found with all others at once", () => {
    const lines = faults({
      upstreams: { game: { peers: ["h:80"], tries: 0 } },
      servers: { edge: { listen: "x", routes: [otherwise(proxy("gmae"))], extra: 1, other: 2 } },
      workers: -1,
    });
    expect(lines.map((line) => line.split(":")[0])).toEqual([
      "workers",
      "upstreams.game.tries",
      "servers.edge.listen",
      "servers.edge.routes[0].proxy",
      "servers.edge.extra",
      "servers.edge.other",
    ]);
  });
});

describe("two servers", () => {
  test.each([
    ["127.0.0.1:5050", "127.0.0.1:05050"],
    ["[::1]:5050", "[0:0:0:0:0:0:0:1]:5050"],
    ["localhost:5050", "LOCALHOST:5050"],
    ["unix:/run/x.sock", "unix:/run/x.sock"],
  ])("cannot listen on %s and %s", (first, second) => {
    const config = { servers: { a: { ...edge, listen: ["127.0.0.1:0", first] }, b: { ...edge, listen: second } } };
    expect(faults(config)).toEqual([
      expect.stringMatching(/^servers\.b\.listen: .* is taken by servers\.a\.listen\[1\]$/),
    ]);
  });
});

describe("a secret", () => {
  const key = "-----BEGIN PRIVATE KEY-----\nMIIsecret\n-----END PRIVATE KEY-----\n";
  test.each([
    { servers: { edge }, redis: "redis//user:secret@host" },
    { servers: { edge }, redis: "http://user:secret@host" },
    { servers: { edge }, redis: ["redis://user:secret@host"] },
    { servers: { edge }, stateDir: ["secret"] },
    server({ listen: "https://user:secret@host" }),
    server({ ssl: { mode: key, certs: key, ca: [key] } }),
    upstream({ ssl: { key: 5, ca: "", cert: { secret: 1 } }, peers: [key] }),
  ])("never appears in a message: %#", (config) => {
    expect(faults(config)).not.toEqual([]);
    expect(faults(config).join("\n")).not.toContain("secret");
  });
});
