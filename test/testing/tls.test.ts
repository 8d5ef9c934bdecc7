import { beforeAll, describe, expect, test } from "vitest";
import { content, defineGateway, on, otherwise, proxy, reject, type ServerConfig } from "../../src/index.ts";
import { tls } from "../../src/preread/index.ts";
import { echo, end, type Party, receive, runSession, send, startTls } from "../../src/testing/index.ts";
import { authority, type Made, made } from "../ssl/made-certificates.ts";

let ca: Made;
let edge: Made;
let player: Made;

beforeAll(async () => {
  ca = await authority("test authority");
  edge = await made({ names: ["edge.test"], by: ca });
  player = await made({ commonName: "ann", by: ca });
});

const gateway = (server: Partial<ServerConfig<"game">> = {}, upstreamSsl = false) =>
  defineGateway({
    upstreams: {
      game: { peers: ["10.0.0.1:7000"], ...(upstreamSsl && { ssl: { serverName: "edge.test", ca: ca.cert } }) },
    },
    servers: { edge: { listen: "127.0.0.1:5050", routes: [otherwise(proxy("game"))], ...server } },
  });

const client = [send("hello"), receive("hello"), end()];
const peers = { game: echo() };

describe.each([
  { mode: "in whole pieces", oneByOne: false },
  { mode: "byte by byte", oneByOne: true },
])("$mode", ({ oneByOne }) => {
  test("TLS ends at the gateway, with every phase of its handshake", async () => {
    const config = gateway({
      ssl: { mode: "always", certs: [edge], alpn: ["game"] },
      phases: {
        sslClientHello: ({ hello }) => (hello.serverName === "edge.test" ? undefined : reject("who?")),
        sslCertificate: () => undefined,
      },
    });
    const run = await runSession(config, {
      client,
      peers,
      oneByOne,
      tls: { serverName: "edge.test", ca: ca.cert, alpn: ["game"] },
    });
    expect([run.toClient.toString(), run.toPeer("game").toString()]).toEqual(["hello", "hello"]);
    expect(run.line).toMatchObject({
      ssl_protocol: "TLSv1.3",
      ssl_server_name: "edge.test",
      status: 200,
      bytes_sent: 5,
    });
    const phases = run.transcript.flatMap((event) => (event.kind === "phase" ? [event.phase] : []));
    expect(phases).toEqual(["sslClientHello", "sslCertificate"]);
  });

  test("STARTTLS goes on in clear text after its dialog", async () => {
    const dialog = content(async (session) => {
      await session.reader.receive("*l");
      await session.write("go on\n");
      await session.startTls();
      const { data } = await session.reader.receive("*l");
      await session.write(`secret ${data}\n`);
    });
    const config = gateway({ ssl: { mode: "starttls", certs: [edge] }, routes: [otherwise(dialog)] });
    const steps = [send("STARTTLS\n"), receive("go on\n"), startTls(), send("ann\n"), receive("secret ann\n")];
    const run = await runSession(config, { client: steps, oneByOne });
    expect(run.toClient.toString()).toBe("go on\nsecret ann\n");
  });

  test("peers speak TLS as well", async () => {
    const peer = [startTls(edge), receive("hello"), send("fine"), end()];
    const run = await runSession(gateway({}, true), {
      client: [send("hello"), receive("fine"), end()],
      peers: { game: peer },
      oneByOne,
    });
    expect(run.toPeer("game").toString()).toBe("hello");
    expect(run.line).toMatchObject({ status: 200, upstream_addr: "10.0.0.1:7000" });
  });

  test("TLS that is passed through ends at the peer, chosen by name", async () => {
    const config = gateway({ routes: [on(tls({ serverName: "edge.test" }), proxy("game")), otherwise(reject("no"))] });
    const peer = [startTls(edge), echo()];
    const run = await runSession(config, {
      client,
      peers: { game: peer },
      tls: { serverName: "edge.test", ca: ca.cert },
      oneByOne,
    });
    expect(run.toPeer("game").toString()).toBe("hello");
    expect(run.line).toMatchObject({ protocol: "tls", ssl_server_name: "edge.test" });
  });
});

test("a client shows its certificate, and learns what the gateway shows", async () => {
  const seen: unknown[] = [];
  const config = gateway({
    ssl: { mode: "always", certs: [edge], clientCertificate: "required", ca: ca.cert },
    phases: { access: ({ ssl }) => void seen.push(ssl?.verify, ssl?.clientCertificate?.subject) },
  });
  const shown = async (party: Party) => {
    const { protocol, certificate } = await party.startTls({ ...player, serverName: "edge.test" });
    seen.push(protocol, certificate?.subject.CN);
    await party.end();
  };
  await runSession(config, { client: shown, peers });
  expect(seen.sort()).toEqual(["CN=ann", "SUCCESS", "TLSv1.3", "edge.test"].sort());
});

test("a handshake that fails says why", async () => {
  const config = gateway({ ssl: { mode: "always", certs: [edge], minVersion: "TLSv1.3" } });
  const old = runSession(config, { tls: { maxVersion: "TLSv1.2" } });
  await expect(old).rejects.toThrow(/^client: no TLS: .*protocol version/);
  await expect(runSession(config, { tls: { serverName: "edge.test", ca: player.cert } })).rejects.toThrow(
    /^client: no TLS: /,
  );
});

test("a client that never goes on with its handshake is let go", async () => {
  const config = gateway({ ssl: { mode: "always", certs: [edge] } });
  const run = await runSession(config, { client: send(Buffer.from([22, 3, 1])) });
  expect(run.line).toMatchObject({ code: "RC_TLS_HANDSHAKE_TIMEOUT", session_time: 10 });
});
