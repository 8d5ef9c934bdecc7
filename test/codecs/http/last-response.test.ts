import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LastResponse } from "../../../src/codecs/http/last-response.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
const head = (method: string, more = ""): string => `${method} /a HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
const GET = head("GET");

/** A side speaks, the other one listens. */
type Turn = readonly [side: "client" | "peer", text: string];

const client = (text: string): Turn => ["client", text];
const peer = (text: string): Turn => ["peer", text];

interface Heard {
  /** All that the client has read. */
  readonly text: string;
  readonly isOver: boolean;
  readonly isBusy: boolean;
}

/** What the client reads, when each turn comes in pieces of `size`, and `pauseMs` behind the one before. */
function hear(
  spokeLast: "client" | "peer",
  turns: readonly Turn[],
  size = Number.POSITIVE_INFINITY,
  pauseMs = 1_000,
): Heard {
  let nowMs = 0;
  const last = new LastResponse(spokeLast, { now: () => nowMs });
  const pieces: Buffer[] = [];
  for (const [side, text] of turns) {
    nowMs += pauseMs;
    for (let at = 0; at < text.length; at += Math.min(size, text.length)) {
      const piece = bytesOf(text.slice(at, at + size));
      if (side === "client") last.fromClient(piece);
      else pieces.push(...last.fromPeer(piece).map((bytes) => Buffer.from(bytes)));
    }
  }
  const { isOver, isBusy } = last;
  pieces.push(...last.rest());
  return { text: Buffer.concat(pieces).toString("latin1"), isOver, isBusy };
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const sizes = [Number.POSITIVE_INFINITY, 1, 2, 7];

describe.each(sizes)("in pieces of %d", (size) => {
  test.each<readonly [string, string, string, string]>([
    ["a length", GET, OK, LAST],
    ["no body", head("HEAD"), OK.slice(0, -2), LAST.slice(0, -2)],
    ["204", GET, "HTTP/1.1 204 No\r\n\r\n", "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n"],
    [
      "chunks with a trailer",
      GET,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n",
    ],
    [
      "keep-alive, whose place close takes, other options stay",
      GET,
      "HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Upgrade\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
    ],
    [
      "HTTP/1.0 that would be kept alive",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
      "HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    ],
    [
      "interim responses, which do not count",
      head("POST", "Expect: 100-continue\r\nContent-Length: 1\r\n"),
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`,
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${LAST}`,
    ],
    ["an empty line in front", GET, `\r\n${OK}`, `\r\n${LAST}`],
  ])("the next response is the last one: %s", (_name, request, response, expected) => {
    expect(hear("peer", [client(request), peer(response)], size)).toEqual({
      text: expected,
      isOver: true,
      isBusy: false,
    });
    // Whatever has gone before, and whatever is behind it.
    const before = [peer("the rest of a body"), client(request), peer(`${response}${OK}`), client(GET), peer(OK)];
    expect(hear("peer", before, size).text).toBe(`the rest of a body${expected}`);
  });

  test("one whose request came before anybody looked, too", () => {
    expect(hear("client", [peer(`${OK}${OK}`)], size)).toEqual({ text: LAST, isOver: true, isBusy: false });
  });

  test("a body that ends with the connection is announced, and goes on to its end", () => {
    const whole = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nas much as there is";
    const { text, isOver, isBusy } = hear("peer", [client(GET), peer(whole)], size);
    expect(text).toBe(whole.replace("A: b", "A: b\r\nConnection: close"));
    expect([isOver, isBusy]).toEqual([false, true]);
  });

  test.each<readonly [string, "client" | "peer", readonly Turn[]]>([
    [
      "says close by itself",
      "peer",
      [client(GET), peer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")],
    ],
    ["is of HTTP/1.0, and closes", "peer", [client(GET), peer("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")]],
    [
      "is an upgrade",
      "peer",
      [
        client(head("GET", "Connection: upgrade\r\nUpgrade: echo\r\n")),
        peer(`HTTP/1.1 101 S\r\n\r\n${OK}`),
        client(GET),
        peer(OK),
      ],
    ],
    [
      "opens a tunnel",
      "peer",
      [client("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), peer("HTTP/1.1 200 OK\r\n\r\n"), client(GET), peer(OK)],
    ],
    ["may open a tunnel that nobody saw begin", "client", [peer("HTTP/1.1 200 OK\r\n\r\n"), client(GET), peer(OK)]],
    [
      "is ambiguous",
      "peer",
      [client(GET), peer(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok${OK}`)],
    ],
    ["is no response", "peer", [client(GET), peer(`frame\r\n${OK}`)]],
    ["goes on behind bytes of the peer", "peer", [client("GET / HT"), peer(OK), client("TP/1.1\r\n\r\n"), peer("x")]],
    ["answers what is no request", "peer", [client("\x81\x85mask..."), peer(OK)]],
    ["answers a body", "peer", [client("the rest of a body"), client(GET), peer(OK)]],
  ])("nothing is changed where the response %s", (_name, spokeLast, turns) => {
    const heard = turns.flatMap(([side, text]) => (side === "peer" ? [text] : [])).join("");
    expect(hear(spokeLast, turns, size)).toMatchObject({ text: heard, isOver: false });
  });

  test("it begins anew at each turn", () => {
    const turns = [client("the rest of a body"), peer(OK), client(GET), peer(OK)];
    expect(hear("peer", turns, size)).toMatchObject({ text: `${OK}${LAST}`, isOver: true });
  });
});

test("is busy while the client waits, while it is about to ask, and where a response may be under way", () => {
  let nowMs = 0;
  const last = new LastResponse("peer", { now: () => nowMs });
  expect(last.isBusy).toBe(true);
  last.fromClient(bytesOf("GET / HTTP/1.1\r\nHo"));
  expect(last.isBusy).toBe(true);
  last.fromClient(bytesOf("st: a\r\n\r\n"));
  expect(last.isBusy).toBe(true);
  last.fromPeer(bytesOf(OK)); // followed only, as it came right behind the beginning
  expect([last.isBusy, last.isOver]).toEqual([false, false]);
  nowMs += 60_000;
  expect(new LastResponse("client").isBusy).toBe(true);
});

describe.each(sizes)("in pieces of %d, without a pause", (size) => {
  test("the response behind one that was followed is the last one", () => {
    const turns = [client(GET), peer(OK), client(GET), peer(`${OK}${OK}`)];
    expect(hear("peer", turns, size, 0)).toEqual({ text: OK + LAST, isOver: true, isBusy: false });
    const upload = client(`${head("POST", "Content-Length: 3\r\n")}abc`);
    expect(hear("peer", [upload, peer(OK), client(GET), peer(OK)], size, 0).text).toBe(OK + LAST);
  });

  test("a request behind which the response before goes on is not forgotten, and nothing of that response changes", () => {
    const tail = [client(GET), peer("tail of response 1")];
    expect(hear("peer", tail, size, 0)).toEqual({ text: "tail of response 1", isOver: false, isBusy: true });
    const fake = [client(GET), peer(`${OK}the rest of response 1`)];
    expect(hear("peer", fake, size, 0)).toEqual({ text: `${OK}the rest of response 1`, isOver: false, isBusy: true });
    const cut = [client(GET), peer(OK), peer("the rest of response 1")];
    expect(hear("peer", cut, size, 0)).toEqual({ text: `${OK}the rest of response 1`, isOver: false, isBusy: true });
  });

  test("a request behind another one is owed its answer", () => {
    expect(hear("peer", [client(GET + GET), peer(OK)], size, 0)).toEqual({ text: OK, isOver: false, isBusy: true });
    const inPieces = [client(`${GET}GET / HT`), peer(OK), client("TP/1.1\r\nHost: a\r\n\r\n")];
    expect(hear("peer", inPieces, size, 0)).toEqual({ text: OK, isOver: false, isBusy: true });
  });
});

test.each(sizes)("in pieces of %d a response that says close by itself is busy to its end", (size) => {
  const whole = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789";
  expect(hear("peer", [client(GET), peer(whole.slice(0, -5))], size)).toMatchObject({ isBusy: true });
  expect(hear("peer", [client(GET), peer(whole)], size)).toEqual({ text: whole, isOver: false, isBusy: false });
  const endless = "HTTP/1.0 200 OK\r\n\r\n01234";
  expect(hear("peer", [client(GET), peer(endless)], size)).toMatchObject({ text: endless, isBusy: true });
});

test("a HEAD that nobody saw is not waited for without end, and one that is known ends with its head", () => {
  const bare = bytesOf("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  let nowMs = 0;
  const unseen = new LastResponse("client", { now: () => nowMs });
  unseen.fromPeer(bare);
  nowMs = 4_000;
  expect(unseen.isBusy).toBe(true);
  nowMs = 5_000;
  expect([unseen.isBusy, unseen.isOver]).toEqual([false, false]);
  unseen.fromPeer(bytesOf("a body it is"));
  nowMs = 60_000;
  expect(unseen.isBusy).toBe(true);
  const known = new LastResponse("client", { method: "HEAD" });
  known.fromPeer(bare);
  expect(known.isOver).toBe(true);
});

test("is not busy once it is no HTTP any more", () => {
  const upgrade = [client(head("GET", "Connection: upgrade\r\nUpgrade: echo\r\n")), peer("HTTP/1.1 101 S\r\n\r\nab")];
  expect(hear("peer", upgrade).isBusy).toBe(false);
});

test("a malformed chunk is the client's to judge, and the peer's end is the connection's", () => {
  const begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
  const { text, isOver } = hear("peer", [client(GET), peer(`${begin}\r\n3\r\nabcd\r\n0\r\n\r\n${OK}`)]);
  expect(text).toBe(`${begin}Connection: close\r\n\r\n3\r\nabcd\r\n0\r\n\r\n${OK}`);
  expect(isOver).toBe(false);
});

test("a head that never ends is passed on, and interim responses without end take no memory", () => {
  const endless = `HTTP/1.1 200 OK\r\nA: ${"a".repeat(100_000)}`;
  expect(hear("peer", [client(GET), peer(endless)], 1_000).text).toBe(endless);
  const interim = "HTTP/1.1 103 Early\r\n\r\n".repeat(50_000);
  expect(hear("peer", [client(GET), peer(interim), peer(OK)]).text).toBe(interim + LAST);
});

test("bytes that are no HTTP pass as they are, however they are cut, and nothing throws", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom("GET ", "HTTP/1.1 2", "\r\n", ":", " ", "00", "x") }),
  );
  const turn = fc.tuple(fc.constantFrom("client" as const, "peer" as const), text);
  fc.assert(
    fc.property(
      fc.array(turn),
      fc.constantFrom("client", "peer"),
      fc.integer({ min: 1, max: 9 }),
      (turns, spoke, size) => {
        const heard = turns.flatMap(([side, said]) => (side === "peer" ? [bytesOf(said).toString("latin1")] : []));
        const { text, isOver } = hear(spoke, turns, size);
        if (!isOver && !text.includes("Connection: close")) expect(text).toBe(heard.join(""));
      },
    ),
    { numRuns: RUNS },
  );
});

test("the last response is followed exactly, however all of it is cut", () => {
  const body = fc.string({ unit: "binary-ascii", maxLength: 40 });
  fc.assert(
    fc.property(body, body, fc.integer({ min: 1, max: 60 }), fc.boolean(), (first, second, size, isChunked) => {
      const [begin, framed] = isChunked
        ? ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", chunked(first)]
        : [`HTTP/1.1 200 OK\r\nContent-Length: ${first.length}\r\n`, first];
      const heard = hear("peer", [peer(second), client(GET), peer(`${begin}\r\n${framed}${second}`)], size);
      expect(heard.text).toBe(`${second}${begin}Connection: close\r\n\r\n${framed}`);
      expect(heard.isOver).toBe(true);
    }),
    { numRuns: RUNS },
  );
});

function chunked(text: string): string {
  const chunk = text === "" ? "" : `${text.length.toString(16)}\r\n${text}\r\n`;
  return `${chunk}0\r\n\r\n`;
}
