import { expect } from "vitest";
import { mqtt } from "../../src/codecs/mqtt/mqtt.ts";
import { decodeProxyHeader } from "../../src/codecs/proxy-protocol/decode.ts";
import { recorded } from "../fixtures/mqtt-connect.ts";
import { authority } from "../ssl/made-certificates.ts";
import { dialIn, dialTls, exchange, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import type { Gateway } from "../support/gateway.ts";
import type { Story } from "../support/story.ts";

/** What else the comments of an example say, checked when the lines of its header have been tried. */
export const facts: Readonly<Record<string, (story: Story) => Promise<void>>> = {
  "access-list.ts": accessList,
  "behind-a-load-balancer.ts": loadBalancer,
  "certificate-from-redis.ts": certificateFromRedis,
  "certificate-per-handshake.ts": certificates,
  "client-certificates.ts": clientCertificates,
  "cors.ts": cors,
  "custom-binary.ts": customBinary,
  "custom-sniffer.ts": customSniffer,
  "failover.ts": failover,
  "gateway.yaml": data,
  "line-service.ts": lineService,
  "mqtt-topic-firewall.ts": topicFirewall,
  "msgpack-by-field.ts": largeMessage,
  "passthrough-and-termination.ts": passthrough,
  "peer-from-redis.ts": peerFromRedis,
  "preread-hook.ts": prereadHook,
  "rate-shaper.ts": rateShaper,
  "redis-client.ts": redisClient,
  "starttls-custom.ts": startTlsCustom,
  "starttls-smtp.ts": startTlsMail,
  "sticky-players.ts": stickyPlayers,
};

/** Waits until a gateway has printed that; what hooks print comes by another pipe than the access log. */
function printed(gateway: Gateway, what: RegExp): Promise<void> {
  return eventually(() => expect(gateway.stdout).toMatch(what));
}

async function accessList({ gateway }: Story): Promise<void> {
  const reasons = (await gateway.sessions(4)).map((line) => line["reason"]);
  const refused = ["blocked: 127.0.0.66", "banned: 127.0.0.67", "banned by name"];
  expect(reasons).toEqual([undefined, ...refused.map((reason) => `rejected: ${reason}`)]);
}

async function loadBalancer(story: Story): Promise<void> {
  expect(await story.gateway.access()).toMatchObject({ remote_addr: "203.0.113.7", remote_port: 40_000 });
  const answer = await exchange(story.gateway.port(), "PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\nhello");
  const decoded = decodeProxyHeader(Buffer.from(answer.slice("game\n".length), "latin1"), { maxBytes: answer.length });
  expect(decoded).toMatchObject({
    kind: "frame",
    value: { version: 2, source: { host: "203.0.113.7", port: 40_000 } },
  });
  const stranger = await story.run("printf 'PROXY TCP4 203.0.113.7 192.0.2.1 1 2' | nc -N -s 127.0.0.2 127.0.0.1 5050");
  expect(stranger.stdout).toContain("PROXY TCP4"); // not trusted, so these bytes are its own
}

/** Redis goes away: the folder answers, and soon. */
async function certificateFromRedis(story: Story): Promise<void> {
  await story.run("redis-cli -p 6379 SHUTDOWN NOSAVE");
  const began = performance.now();
  const socket = await dialTls(story.gateway.port(), { servername: "ann.example.test" });
  expect(socket.getPeerX509Certificate()?.subject).toBe("CN=localhost");
  expect(performance.now() - began).toBeLessThan(4_000); // half a second for Redis, and what a busy machine adds
  await eventually(() => expect(story.gateway.stderr).toContain("no Redis for ann.example.test"));
  socket.destroy();
}

async function certificates({ gateway }: Story): Promise<void> {
  const shown = Array.from({ length: 5 }, async () => {
    const socket = await dialTls(gateway.port(), { servername: "bob.example.test" });
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  });
  expect(new Set(await Promise.all(shown)).size).toBe(1);
}

async function clientCertificates({ gateway }: Story): Promise<void> {
  const socket = await dialTls(gateway.port("optional"), await authority("mallory"));
  expect(await readAll(socket)).toHaveLength(0);
  const line = await gateway.access((ended) => ended["end_cause"] === "rejected");
  expect(line["reason"]).toMatch(/^rejected: FAILED:/);
}

/** Headers that pass as they came, one that does not, and one connection for two requests. */
async function cors({ gateway }: Story): Promise<void> {
  const request = "GET /a HTTP/1.1\r\nHost: a\r\nOrigin: https://admin.example\r\n";
  const answer = await exchange(gateway.port(), `${request}\r\n${request}Connection: close\r\n\r\n`);
  expect(answer.match(/^Access-Control-Allow-Origin: https:\/\/admin\.example\r$/gm)).toHaveLength(2);
  expect(answer.match(/^Content-Type: text\/plain\r$/gm)).toHaveLength(2);
  expect(answer).not.toContain("X-Powered-By");
}

async function customBinary({ gateway }: Story): Promise<void> {
  const protocols = (await gateway.sessions(3)).map((line) => line["protocol"]);
  expect(protocols).toEqual(["chat", "lengthPrefixed", "lengthPrefixed"]);
}

async function customSniffer({ gateway }: Story): Promise<void> {
  const [known, unknown] = await gateway.sessions(2);
  expect(known).toMatchObject({ protocol: "meter", status: 200 });
  expect(unknown).toMatchObject({ end_cause: "rejected", reason: "rejected: not a meter" });
  await printed(gateway, /meter \{ device: '0000002a' \} 15/);
}

async function failover(story: Story): Promise<void> {
  const { gateway, ports } = story;
  const [primary, backup] = ["7001", "7002"].map((port) => `127.0.0.1:${ports.get(port)}`);
  await story.run("echo again | nc -N 127.0.0.1 5050");
  const tried = (await gateway.sessions(2)).map((line) => line["upstream_addr"]);
  expect(tried).toEqual([`${primary}, ${backup}`, backup]); // the second session spares itself the peer that is down
  await printed(gateway, /attempt 2, since cannot connect to peer/);
}

async function data({ gateway }: Story): Promise<void> {
  await gateway.sessions(3);
  const lines = ["mqtt to bots: client_closed", "mqtt to players: client_closed", "unknown to nobody: rejected"];
  await eventually(() => expect(gateway.stdout.split("\n")).toEqual(expect.arrayContaining(lines)));
}

async function lineService({ gateway }: Story): Promise<void> {
  const socket = await dialIn(gateway.port());
  expect(await readUntil(socket, (text) => text.endsWith("\n"))).toBe("ready\n"); // before the client says a word
  socket.destroy();
}

async function largeMessage({ gateway }: Story): Promise<void> {
  const text = Buffer.alloc(5_000, "x");
  const message = Buffer.concat([Buffer.from("\x81\xa4text\xda\x13\x88", "latin1"), text]);
  expect(await exchange(gateway.port(), message)).toBe("");
  expect(await gateway.access((line) => line["status"] === 400)).toMatchObject({ end_cause: "preread_full" });
}

async function passthrough({ gateway }: Story): Promise<void> {
  const [raw] = await gateway.sessions(4);
  expect(raw).toMatchObject({ protocol: "tls", upstream: "raw", ssl_server_name: "raw.example.test" });
  expect(raw).not.toHaveProperty("ssl_protocol"); // TLS did not end here
}

async function peerFromRedis({ gateway, ports }: Story): Promise<void> {
  const [fallback, game, absent] = ["7000", "7001", "7002"].map((port) => `127.0.0.1:${ports.get(port)}`);
  const tried = (await gateway.sessions(3)).map((line) => line["upstream_addr"]);
  expect(tried).toEqual([fallback, game, `${absent}, ${game}`]);
  await printed(gateway, /attempt 2, since cannot connect to peer/);
}

async function prereadHook({ gateway }: Story): Promise<void> {
  expect(await exchange(gateway.port(), "GOODBYE\n")).toBe("no hello\r\n");
  expect(await gateway.access((line) => line["status"] === 403)).toMatchObject({ reason: "rejected: no hello" });
}

async function startTlsCustom({ gateway }: Story): Promise<void> {
  const [encrypted, older, eve] = await gateway.sessions(3);
  expect(encrypted).toMatchObject({ protocol: "upgrade", ssl_protocol: "TLSv1.3", upstream: "game" });
  expect(older).not.toHaveProperty("ssl_protocol");
  expect(eve).toMatchObject({ code: "RC_TLS_PLAIN", end_cause: "handshake_failed" });
  await printed(gateway, /upgraded to TLSv1\.3 with TLS_/);
}

async function startTlsMail({ gateway }: Story): Promise<void> {
  const [encrypted, plain, eve] = await gateway.sessions(3);
  expect(encrypted).toMatchObject({ ssl_protocol: "TLSv1.3", upstream: "mail" });
  expect(plain).toMatchObject({ end_cause: "content_done" });
  expect(eve).toMatchObject({ code: "RC_TLS_PLAIN" });
  const socket = await dialIn(gateway.port());
  socket.write("EHLO x".repeat(200));
  expect((await readAll(socket)).toString()).toMatch(/^220 [^\n]+\n$/); // a line without an end
  socket.destroy();
}

/** A message that cannot be refused any other way ends the session. */
async function topicFirewall({ gateway }: Story): Promise<void> {
  const codec = mqtt({ version: 4 });
  const message = { topic: "admin/x", payload: "now", qos: 2, messageId: 1, dup: false, retain: false } as const;
  const socket = await dialIn(gateway.port());
  socket.write(recorded.v311);
  socket.write(codec.encode({ cmd: "publish", ...message }));
  expect(await readAll(socket)).not.toContain(0x50); // PUBREC
  socket.destroy();
  expect(await gateway.access((line) => line["end_cause"] === "exited")).toMatchObject({ status: 200 });
}

async function rateShaper({ gateway }: Story): Promise<void> {
  const { session_time: seconds, bytes_sent: bytes } = await gateway.access();
  expect(bytes).toBe(500_005);
  expect(seconds).toBeGreaterThan(2);
}

async function redisClient(story: Story): Promise<void> {
  const reasons = (await story.gateway.sessions(3)).map((line) => line["reason"]);
  expect(reasons).toEqual([undefined, "rejected: banned", undefined]);
  const { stdout } = await story.run("redis-cli -p 6379 INFO stats");
  const opened = Number(/total_connections_received:(\d+)/.exec(stdout)?.[1]);
  expect(opened - 4).toBeLessThanOrEqual(2); // the test itself has opened one to wait for the port, and three by redis-cli
}

async function stickyPlayers(story: Story): Promise<void> {
  const seat = async (player: string, from: string): Promise<string> => {
    const message = String.raw`printf '\x81\xa6player\xa1${player}'`;
    return (await story.run(`${message} | nc -N -s ${from} 127.0.0.1 5050 | head -n 1`)).stdout.trim();
  };
  const players = Array.from("abcdefghijklmnopqrst");
  const first = await Promise.all(players.map((player) => seat(player, "127.0.0.1")));
  const second = await Promise.all(players.map((player) => seat(player, "127.0.0.2")));
  expect(second).toEqual(first);
  expect(new Set(first)).toEqual(new Set(["server 1", "server 2"]));
}
