// Testing hooks: four configurations of this folder, tested with `restyconf/testing`. No port is opened, nobody else is needed, and
// seconds take no time. Here the tests are vitest's, run by `npm test`; any other runner will do.
import { end, receive, runSession, send, wait } from "restyconf/testing";
import { expect, test } from "vitest";
import accessList from "./access-list.ts";
import rateShaper from "./rate-shaper.ts";
import serverSpeaksFirst from "./server-speaks-first.ts";
import upperCaseLines from "./upper-case-lines.ts";

test.each([
  ["10.0.0.1", 200],
  ["192.0.2.17", 403], // blocked by its network
  ["127.0.0.67", 403], // banned by the database
])("a player from %s gets %i", async (host, status) => {
  const ann = Buffer.from("\x81\xa6player\xa3ann", "latin1");
  const run = await runSession(accessList, {
    client: [send(ann), wait(100), end()],
    remote: { host },
    peers: { game: receive(ann) }, // fails the test if the game gets anything else, and is not asked at all about the others
    oneByOne: true, // each byte by itself: hooks must not depend on how bytes are cut
  });
  expect(run.line.status).toBe(status);
  expect(run.connected).toEqual(status === 200 ? ["127.0.0.1:7001"] : []);
});

test("lines are changed on their way, wherever they are cut", async () => {
  const client = [send("hello\nwor"), wait(1_000), send("ld"), end()];
  const run = await runSession(upperCaseLines, { client, peers: { echo: [] } });
  expect(run.toPeer("echo").toString()).toBe("HELLO\nWORLD");
});

test("500,000 bytes take some two seconds, after a burst", async () => {
  const run = await runSession(rateShaper, {
    client: [send(Buffer.alloc(500_000)), end()],
    peers: { echo: receive(500_000) },
  });
  expect(run.line.session_time).toBeCloseTo((500_000 - 65_536) / 200_000, 1);
});

test("who says nothing for a second is a mail client", async () => {
  const mail = [send("220 mail.example.test\n"), receive("QUIT\n"), end()];
  const run = await runSession(serverSpeaksFirst, {
    client: [receive("220 mail.example.test\n"), send("QUIT\n")],
    peers: { mail },
  });
  expect(run.transcript[0]).toMatchObject({ atMs: 1_000, kind: "connect", to: "127.0.0.1:7001", outcome: "connected" });
  expect(run.line).toMatchObject({ upstream: "mail", end_cause: "peer_closed" });
});
