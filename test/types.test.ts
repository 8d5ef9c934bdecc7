import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, expectTypeOf, test } from "vitest";
import {
  type AccessSession,
  type Action,
  type Balancer,
  type ContentSession,
  content,
  defineGateway,
  type EndCause,
  type GatewayConfig,
  type HeaderFilterSession,
  type HttpRequest,
  hash,
  httpBody,
  type LogSession,
  leastConn,
  on,
  otherwise,
  type PrereadSession,
  proxy,
  type Received,
  type RejectAction,
  type RewriteSession,
  randomTwo,
  registry,
  reject,
  roundRobin,
  type Session,
  type SslSession,
  silent,
  type UpstreamTlsSession,
} from "../src/index.ts";
import { bytes, http, lengthPrefixed, mqtt, msgpack, ssh } from "../src/preread/index.ts";
import { validate } from "../src/worker/config/validate.ts";
import contract from "./fixtures/contract.config.ts";
import { run } from "./support/programs.ts";
import { TempFolder } from "./worker/temp-folder.ts";

const upstreams = { api: { peers: ["h:80"] }, game: { peers: registry("game") } } as const;
const edge = { listen: "h:1", routes: [otherwise(reject("no"))] } as const;

test("the contract's example compiles, and is right", () => {
  const path = fileURLToPath(new URL("fixtures/contract.config.ts", import.meta.url));
  const config = validate({ config: contract, path, baseDir: "/" });
  expect(config.servers["edge"]?.routes).toHaveLength(8);
  expectTypeOf(contract).toEqualTypeOf<GatewayConfig<"broker" | "game" | "api">>();
});

describe("the compiler refuses", () => {
  test("an upstream that there is not, wherever a route names one", () => {
    // @ts-expect-error there is no upstream apu
    defineGateway({ upstreams, servers: { edge: { listen: "h:1", routes: [on(http(), proxy("apu"))] } } });
    // @ts-expect-error there is no upstream apu
    defineGateway({ upstreams, servers: { edge: { listen: "h:1", routes: [silent(1, proxy("apu"))] } } });
    // @ts-expect-error there is no upstream apu
    defineGateway({ upstreams, servers: { edge: { listen: "h:1", routes: [otherwise(proxy("apu"))] } } });
    // @ts-expect-error there are no upstreams at all
    defineGateway({ servers: { edge: { listen: "h:1", routes: [otherwise(proxy("api"))] } } });
    // @ts-expect-error the upstream of a hook, too
    defineGateway({ upstreams, servers: { edge: { ...edge, phases: { preread: () => proxy("apu") } } } });
    const handler = content(() => proxy("apu"));
    // @ts-expect-error of a hook of the gateway
    defineGateway({ upstreams, servers: { edge }, phases: { rewrite: () => proxy("apu") } });
    // @ts-expect-error and of a content handler
    defineGateway({ upstreams, servers: { edge: { listen: "h:1", routes: [otherwise(handler)] } } });
    defineGateway({ upstreams, servers: { edge: { ...edge, phases: { preread: () => proxy("api") } } } });
  });

  test("unknown keys", () => {
    // @ts-expect-error of the gateway
    defineGateway({ servers: { edge }, wokers: 1 });
    // @ts-expect-error of a server
    defineGateway({ servers: { edge: { ...edge, lisen: "h:2" } } });
    // @ts-expect-error of ssl
    defineGateway({ servers: { edge: { ...edge, ssl: { mode: "auto", certs: "c", cert: "c" } } } });
    // @ts-expect-error of phases
    defineGateway({ servers: { edge: { ...edge, phases: { acess: () => {} } } } });
    // @ts-expect-error of an upstream
    defineGateway({ upstreams: { api: { peers: ["h:80"], trys: 3 } }, servers: { edge } });
    // @ts-expect-error of a condition
    http({ hostname: "h" });
    // @ts-expect-error of a condition
    mqtt({ clientID: "bot-*" });
  });

  test("wrong values", () => {
    // @ts-expect-error a number is no address
    defineGateway({ servers: { edge: { ...edge, listen: 5050 } } });
    // @ts-expect-error text is no balancer
    defineGateway({ upstreams: { api: { peers: ["h:80"], balancer: "least-conn" } }, servers: { edge } });
    // @ts-expect-error nor is the function that makes one
    defineGateway({ upstreams: { api: { peers: ["h:80"], balancer: leastConn } }, servers: { edge } });
    // @ts-expect-error there are two versions
    defineGateway({ upstreams: { api: { peers: ["h:80"], proxyProtocol: 3 } }, servers: { edge } });
    // @ts-expect-error nobody waits for a variable
    defineGateway({ servers: { edge: { ...edge, phases: { set: { late: async () => "x" } } } } });
    // @ts-expect-error a server needs routes
    defineGateway({ servers: { edge: { listen: "h:1" } } });
    // @ts-expect-error a route is made by on, silent or otherwise
    defineGateway({ servers: { edge: { listen: "h:1", routes: [reject("no")] } } });
    // @ts-expect-error data is for JSON and YAML
    defineGateway({ upstreams, servers: { edge: { listen: "h:1", routes: [{ on: "http", proxy: "api" }] } } });
    // @ts-expect-error a length field has 1, 2 or 4 bytes
    expect(() => lengthPrefixed({ size: 3 })).toThrow();
    // @ts-expect-error patterns alone have maxBytes
    expect(() => bytes("", { maxBytes: 5 })).toThrow();
  });

  test("what a phase may not do", () => {
    const { sslCertificate, ...phases } = phasesWith();
    defineGateway({ servers: { edge: { ...edge, phases: { ...phases, sslCertificate } } } });
    type Keys<View> = Extract<keyof View, "write" | "reader" | "peek" | "shutdown" | "startTls" | "status" | "hello">;
    expectTypeOf<Keys<SslSession>>().toEqualTypeOf<"hello">();
    expectTypeOf<Keys<UpstreamTlsSession>>().toEqualTypeOf<never>();
    expectTypeOf<Keys<AccessSession>>().toEqualTypeOf<never>();
    expectTypeOf<Keys<LogSession>>().toEqualTypeOf<"status">();
    expectTypeOf<Extract<Keys<PrereadSession>, "write" | "reader" | "peek">>().toEqualTypeOf<
      "write" | "reader" | "peek"
    >();
    expectTypeOf<Extract<Keys<ContentSession>, "write" | "reader" | "shutdown">>().toEqualTypeOf<
      "write" | "reader" | "shutdown"
    >();
  });

  test("a filter of bodies that is none", () => {
    // @ts-expect-error a number is no bytes
    httpBody(() => 5);
    // @ts-expect-error there is no such function
    expect(() => httpBody(() => {}, { begin: "no" })).toThrow(new TypeError("httpBody: begin is no function"));
  });

  test("what hooks of TLS may not return", () => {
    const ssl = { mode: "always", certs: "certs" } as const;
    const old = { sslClientHello: () => ({ minVersion: "TLSv1.1" }) } as const;
    // @ts-expect-error older versions are for the configuration
    defineGateway({ servers: { edge: { ...edge, ssl, phases: old } } });
    // @ts-expect-error a hello goes nowhere
    defineGateway({ upstreams, servers: { edge: { ...edge, ssl, phases: { sslClientHello: () => proxy("api") } } } });
    // @ts-expect-error a certificate needs its key
    defineGateway({ servers: { edge: { ...edge, ssl, phases: { sslCertificate: () => ({ cert: "pem" }) } } } });
    // @ts-expect-error so does one for a peer
    defineGateway({ servers: { edge: { ...edge, phases: { upstreamCertificate: () => ({ cert: "pem" }) } } } });
    // @ts-expect-error a verdict is true, false or nothing
    defineGateway({ servers: { edge: { ...edge, phases: { upstreamVerify: () => "yes" } } } });
    defineGateway({ servers: { edge: { ...edge, ssl, phases: { sslCertificate: () => ({ requestCert: true }) } } } });
  });

  test("a session's facts to be changed", () => {
    defineGateway({
      servers: {
        edge: {
          ...edge,
          phases: {
            access: (session) => {
              // @ts-expect-error an id is for ever
              session.id = "mine";
              session.vars["mine"] = 1;
            },
          },
        },
      },
    });
  });
});

/** Hooks that reach for what their phase does not have. */
function phasesWith() {
  return {
    sslCertificate: (session: SslSession) => {
      // @ts-expect-error TLS has not begun
      session.write;
      return undefined;
    },
    access: (session: AccessSession) => {
      // @ts-expect-error no byte may be written in access
      session.write("hello");
      // @ts-expect-error nor read
      session.reader;
    },
    rewrite: (session: RewriteSession) => {
      // @ts-expect-error no byte may be written in rewrite
      session.write("hello");
      // @ts-expect-error what will happen is changed by what is returned
      session.action = reject("no");
    },
    log: (session: LogSession) => {
      // @ts-expect-error it has ended
      session.exit(200);
      // @ts-expect-error the client is gone
      session.write("bye");
      expectTypeOf(session.endCause).toEqualTypeOf<EndCause>();
    },
  };
}

describe("the compiler infers", () => {
  test("sessions of hooks and handlers without a word from the user", () => {
    defineGateway({
      upstreams,
      servers: {
        edge: {
          listen: "h:1",
          routes: [
            otherwise(
              content(async (session) => {
                expectTypeOf(session).toEqualTypeOf<ContentSession>();
                expectTypeOf(await session.reader.receive()).toEqualTypeOf<Received>();
                return session.protocol === "ssh" ? proxy("api") : undefined;
              }),
            ),
          ],
          phases: {
            preread: async (session) => {
              expectTypeOf(session).toEqualTypeOf<PrereadSession>();
              return reject("no");
            },
            balancer: ({ attempt }) => (attempt === 1 ? { address: "h:80", connectTimeoutMs: 100 } : undefined),
            headerFilter: (session, { request, response }) => {
              expectTypeOf(session).toEqualTypeOf<HeaderFilterSession>();
              if (response) expectTypeOf(request).toEqualTypeOf<HttpRequest>();
              else expectTypeOf(request).toEqualTypeOf<undefined>();
              // @ts-expect-error the request is with the peer already
              request?.headers.set("a", "b");
            },
            bodyFilter: {
              upstream: httpBody((piece, { bytesSent }, { request }) =>
                piece.subarray(bytesSent, request.target.length),
              ),
            },
            log: (session) => void expectTypeOf(session).toEqualTypeOf<LogSession>(),
          },
        },
      },
      phases: {
        initWorker: async ({ registry, id }) => {
          expectTypeOf(id).toEqualTypeOf<number>();
          await registry.put("service:game:1", "{}", { ttlMs: 1 });
        },
      },
    });
  });

  test("the key of a hash from the session", () => {
    expectTypeOf(hash((session) => session.remote.host)).toEqualTypeOf<Balancer>();
    expectTypeOf(hash(({ ssl }) => ssl?.serverName)).toEqualTypeOf<Balancer>();
    // @ts-expect-error a key is text
    hash((session) => session.remote.port);
    // @ts-expect-error sessions have no user
    hash((session) => session.user);
  });

  test("names of upstreams from actions", () => {
    expectTypeOf(on(ssh(), proxy("api"))).toExtend<{ readonly action: Action<"api"> }>();
    expectTypeOf(reject("no")).toEqualTypeOf<RejectAction>();
    expectTypeOf(roundRobin()).toEqualTypeOf<Balancer>();
    expectTypeOf(randomTwo()).toEqualTypeOf<Balancer>();
    expectTypeOf<Session["vars"]>().toEqualTypeOf<Record<string, boolean | number | string | undefined>>();
  });

  test("conditions of every kind", () => {
    expect([http({ host: /x/, path: (path) => path.startsWith("/a"), headers: { a: "*" } }).name]).toEqual(["http"]);
    expect(msgpack({ cmd: "login", n: 7, ok: true, deep: (value) => value === 1 }).name).toBe("msgpack");
  });
});

test("users of the built package add fields to SessionCtx by declaration merging", async () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  using folder = new TempFolder({
    "package.json": `{ "type": "module" }`,
    "tsconfig.json": JSON.stringify({
      compilerOptions: {
        module: "nodenext",
        strict: true,
        noEmit: true,
        types: ["node"],
        skipLibCheck: false,
        lib: ["es2023", "esnext.disposable"],
      },
      files: ["use.ts"],
    }),
    "use.ts": `import { defineGateway, otherwise, reject } from "restyconf";
      import { mqtt } from "restyconf/preread";
      declare module "restyconf" { interface SessionCtx { player?: string } }
      export const name: "mqtt" = mqtt().name;
      export default defineGateway({ servers: { edge: { listen: "h:1", routes: [otherwise(reject("no"))], phases: {
        access: (session) => { session.ctx.player = "ann"; },
        log: ({ ctx }) => { const player: string | undefined = ctx.player; void player; },
        // @ts-expect-error nobody declared it
        preread: ({ ctx }) => { ctx.plaier = "ann"; },
      } } } });`,
  });
  mkdirSync(join(folder.path, "node_modules"));
  symlinkSync(root, join(folder.path, "node_modules/restyconf"));
  symlinkSync(join(root, "node_modules/@types"), join(folder.path, "node_modules/@types"));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const checked = await run(process.execPath, [tsc, "-p", folder.path], { timeoutMs: 25_000 });
  expect(checked.stdout).toBe("");
  expect(checked.code).toBe(0);
  expect(readFileSync(join(root, "dist/index.d.ts"), "utf8")).toContain("SessionCtx");
});
