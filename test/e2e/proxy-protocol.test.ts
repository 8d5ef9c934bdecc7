import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { generate } from "selfsigned";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Address } from "../../src/codecs/address.ts";
import { decodeProxyHeader, type ProxyHeader } from "../../src/codecs/proxy-protocol/decode.ts";
import { encodeProxyHeader } from "../../src/codecs/proxy-protocol/encode.ts";
import { readTlvs, writeTlvs } from "../../src/codecs/proxy-protocol/tlv.ts";
import { freePorts } from "../support/service.ts";

const HOST = "127.0.0.1";
const STARTUP_MS = 30_000;
const MAX_HEADER_BYTES = 16_384;

/** A server that reads the PROXY header of each connection, then answers as a web server would. */
class Recorder {
  readonly #server: Server = createServer((socket) => this.#read(socket));
  readonly #seen: ProxyHeader[] = [];
  #wake = (): void => {};

  async listen(): Promise<number> {
    this.#server.listen(0, HOST);
    await once(this.#server, "listening");
    return portOf(this.#server);
  }

  /** The next header of that command. */
  async next(command: ProxyHeader["command"]): Promise<ProxyHeader> {
    for (;;) {
      const index = this.#seen.findIndex((header) => header.command === command);
      const [header] = index === -1 ? [] : this.#seen.splice(index, 1);
      if (header) return header;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#server.close();
  }

  #read(socket: Socket): void {
    let bytes = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const decoded = decodeProxyHeader(bytes, { maxBytes: MAX_HEADER_BYTES });
      if (decoded.kind === "more") return;
      if (decoded.kind === "malformed") throw new Error(`${decoded.reason}: ${bytes.toString("hex")}`);
      socket.off("data", onData);
      this.#seen.push(decoded.value);
      this.#wake();
      socket.end("HTTP/1.0 200 OK\r\n\r\nhello");
    };
    socket.on("data", onData);
  }
}

function portOf(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === "object" ? address.port : 0;
}

/** Connects as soon as the program, which has just been started, listens. */
async function dial(port: number): Promise<Socket> {
  for (const end = performance.now() + STARTUP_MS; ; await sleep(20)) {
    const socket = connect({ port, host: HOST, allowHalfOpen: true });
    try {
      await once(socket, "connect");
      return socket.on("error", () => socket.destroy());
    } catch (cause) {
      if (performance.now() > end) throw cause;
    }
  }
}

/** Says hello and ends; the client's own address, as the header must tell it. */
async function greet(port: number): Promise<Address> {
  const client = await dial(port);
  const source = { host: HOST, port: client.localPort ?? 0 };
  client.end("hello");
  return source;
}

async function textOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const recorder = new Recorder();
const programs: ChildProcess[] = [];
let folder = "";
let ports: readonly number[] = [];
const portAt = (index: number): number => ports[index] ?? 0;

const haproxyConfig = (to: number): string => `
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
  unique-id-format id-%pid-%rt
listen plain
  bind ${HOST}:${portAt(0)}
  server recorder ${HOST}:${to} send-proxy-v2 proxy-v2-options crc32c,unique-id,authority,ssl
listen tls
  bind ${HOST}:${portAt(1)} ssl crt ${folder}/both.pem alpn h2 ca-file ${folder}/cert.pem verify optional
  server recorder ${HOST}:${to} send-proxy-v2 proxy-v2-options crc32c,unique-id,authority,ssl,cert-cn,ssl-cipher,cert-sig,cert-key
listen line
  bind ${HOST}:${portAt(2)}
  server recorder ${HOST}:${to} send-proxy
listen checked
  bind ${HOST}:${portAt(3)}
  server recorder ${HOST}:${to} send-proxy-v2 check inter 500
frontend reader
  mode http
  bind ${HOST}:${portAt(4)} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority] %[fc_pp_unique_id]"
`;

const nginxConfig = (to: number): string => `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log;
events {}
stream {
  server { listen ${HOST}:${portAt(5)}; proxy_pass ${HOST}:${to}; proxy_protocol on; }
  server {
    listen ${HOST}:${portAt(6)} proxy_protocol;
    return "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
  }
}
`;

let certificate = { private: "", cert: "" };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "restyconf-proxy-"));
  ports = await freePorts(7);
  const to = await recorder.listen();
  certificate = await generate([{ name: "commonName", value: "edge.example" }]);
  await writeFile(join(folder, "cert.pem"), certificate.cert);
  await writeFile(join(folder, "both.pem"), certificate.private + certificate.cert);
  await writeFile(join(folder, "haproxy.cfg"), haproxyConfig(to));
  await writeFile(join(folder, "nginx.conf"), nginxConfig(to));
  programs.push(
    spawn("haproxy", ["-db", "-q", "-f", join(folder, "haproxy.cfg")], { stdio: "inherit" }),
    spawn("nginx", ["-c", join(folder, "nginx.conf"), "-e", join(folder, "nginx.log")], { stdio: "inherit" }),
  );
});

afterAll(async () => {
  await Promise.all(
    programs.map(async (program) => {
      program.kill("SIGKILL");
      if (program.exitCode === null && program.signalCode === null) await once(program, "exit");
    }),
  );
  recorder.close();
  await rm(folder, { recursive: true, force: true });
});

describe("headers of other programs are read", () => {
  test("HAProxy tells checksum, unique id and SSL of a plain client in version 2", async () => {
    const source = await greet(portAt(0));
    const header = await recorder.next("proxy");
    expect(header).toMatchObject({
      version: 2,
      source,
      destination: { host: HOST, port: portAt(0) },
    });
    const { uniqueId, ssl, authority } = readTlvs(header.tlvs);
    expect(Buffer.from(uniqueId ?? []).toString()).toMatch(/^id-\d+-\d+$/);
    expect(ssl).toMatchObject({ ssl: false, verify: 0 });
    expect(authority).toBeUndefined();
  });

  test("HAProxy tells a TLS client and its certificate in version 2", async () => {
    (await dial(portAt(1))).destroy();
    const { cert, private: key } = certificate;
    const client = connectTls({
      ...{ port: portAt(1), host: HOST, servername: "edge.example", ALPNProtocols: ["h2"] },
      ...{ ca: cert, cert, key },
    });
    client.on("error", () => client.destroy());
    await once(client, "secureConnect");
    const source = { host: HOST, port: client.localPort };
    client.end("hello");
    const header = await recorder.next("proxy");
    expect(header).toMatchObject({ version: 2, source });
    expect(readTlvs(header.tlvs)).toMatchObject({
      alpn: "h2",
      authority: "edge.example",
      ssl: {
        ssl: true,
        certOnConnection: true,
        certInSession: true,
        verify: 0,
        version: "TLSv1.3",
        commonName: "edge.example",
        cipher: "TLS_AES_256_GCM_SHA384",
        signatureAlgorithm: expect.stringMatching(/^RSA-SHA/),
        keyAlgorithm: "RSA2048",
      },
    });
  });

  test("HAProxy says LOCAL in version 2 for its own health check", async () => {
    expect(await recorder.next("local")).toMatchObject({ version: 2, source: undefined, destination: undefined });
  });

  test("HAProxy names its client in version 1", async () => {
    const source = await greet(portAt(2));
    expect(await recorder.next("proxy")).toMatchObject({ version: 1, source });
  });

  test("nginx names client and destination in version 1", async () => {
    const source = await greet(portAt(5));
    expect(await recorder.next("proxy")).toEqual({
      version: 1,
      command: "proxy",
      source,
      destination: { host: HOST, port: portAt(5) },
      tlvs: [],
    });
  });

  test("curl --haproxy-protocol names itself in version 1", async () => {
    const own = new Recorder();
    const port = await own.listen();
    const { stdout } = await promisify(execFile)("curl", ["-s", "--haproxy-protocol", `http://${HOST}:${port}/`]);
    own.close();
    expect(stdout).toBe("hello");
    const header = await own.next("proxy");
    expect(header).toMatchObject({ version: 1, source: { host: HOST }, destination: { host: HOST, port } });
  });
});

describe("our headers are read by other programs", () => {
  const ends = { source: { host: "192.0.2.1", port: 54_321 }, destination: { host: "198.51.100.2", port: 443 } };
  const mixed = { source: { host: "2001:db8::1", port: 1 }, destination: ends.destination };
  const tlvs = writeTlvs({ authority: "a.example", uniqueId: Buffer.from("session-1"), alpn: "h2" });
  const request = Buffer.from("GET / HTTP/1.0\r\n\r\n");

  test.each([
    ["version 1", encodeProxyHeader(1, ends), "192.0.2.1 54321 198.51.100.2 443"],
    ["version 1, mixed families", encodeProxyHeader(1, mixed), "2001:db8::1 1 ::ffff:198.51.100.2 443"],
    ["version 2", encodeProxyHeader(2, ends), "192.0.2.1 54321 198.51.100.2 443"],
    ["version 2 with TLVs", encodeProxyHeader(2, { ...mixed, tlvs }), "2001:db8::1 1 ::ffff:198.51.100.2 443"],
  ])("nginx, %s", async (_, header, answer) => {
    const client = await dial(portAt(6));
    client.write(header);
    expect(await textOf(client)).toBe(answer);
  });

  test.each([
    ["version 1", encodeProxyHeader(1, ends), "192.0.2.1 54321 198.51.100.2 443  "],
    [
      "version 2 with TLVs and checksum",
      encodeProxyHeader(2, { ...ends, tlvs, crc32c: true }),
      "192.0.2.1 54321 198.51.100.2 443 a.example session-1",
    ],
  ])("HAProxy, %s", async (_, header, answer) => {
    const client = await dial(portAt(4));
    client.write(Buffer.concat([header, request]));
    expect((await textOf(client)).split("\r\n\r\n")[1]).toBe(answer);
  });
});
