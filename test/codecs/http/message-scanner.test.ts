import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { requestFraming, responseFraming } from "../../../src/codecs/http/framing.ts";
import { MessageScanner, type Part } from "../../../src/codecs/http/message-scanner.ts";
import { decodeRequestHead, HEAD_LIMITS, type RequestHead } from "../../../src/codecs/http/request-head.ts";
import { decodeResponseHead, RESPONSE_HEAD_LIMITS, type ResponseHead } from "../../../src/codecs/http/response-head.ts";
import { mutated, RUNS } from "../../laws/sniffer-laws.ts";

/** What a stream consists of: adjacent parts of one kind are one, so that it does not matter how the stream was cut. */
type Seen = [kind: string, text: string];

function scanRequests(chunks: readonly Uint8Array[]): Seen[] {
  const scanner = new MessageScanner<RequestHead>({ decode: decodeRequestHead, limits: HEAD_LIMITS });
  return scan(scanner, chunks, (head) => requestFraming(head));
}

function scanResponses(chunks: readonly Uint8Array[], methods: readonly string[] = []): Seen[] {
  const waiting = [...methods];
  const scanner = new MessageScanner<ResponseHead>({ decode: decodeResponseHead, limits: RESPONSE_HEAD_LIMITS });
  return scan(scanner, chunks, (head) => responseFraming(head, head.status < 200 ? "GET" : (waiting.shift() ?? "GET")));
}

function scan<Head>(
  scanner: MessageScanner<Head>,
  chunks: readonly Uint8Array[],
  framing: (head: Head) => ReturnType<typeof requestFraming>,
): Seen[] {
  const seen: Seen[] = [];
  for (const chunk of chunks) {
    scanner.feed(chunk);
    for (let part = scanner.next(); part; part = scanner.next()) {
      note(seen, part);
      if (part.kind === "malformed") return seen;
      if (part.kind !== "head") continue;
      const told = framing(part.head);
      if (told.kind === "malformed") return [...seen, ["malformed", told.reason]];
      scanner.body(told);
    }
  }
  if (!scanner.isIdle) seen.push(["open", ""]);
  return seen;
}

function note<Head>(seen: Seen[], part: Part<Head>): void {
  const text = part.kind === "malformed" ? part.reason : part.kind === "end" ? "" : latin1(part.bytes);
  const last = seen.at(-1);
  if (last && last[0] === part.kind && part.kind !== "head" && part.kind !== "end") last[1] += text;
  else seen.push([part.kind, text]);
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const bytesOf = (text: string) => Buffer.from(text, "latin1");
const oneByOne = (bytes: Uint8Array) => Array.from(bytes, (byte) => Buffer.of(byte));

const POST = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const GET = "GET /b HTTP/1.1\r\nHost: a\r\n\r\n";
const UPLOAD = "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const CLOSE = "HTTP/1.0 200\r\n\r\n";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

describe("the messages of a stream of requests", () => {
  test.each<[string, string, Seen[]]>([
    [
      "no body without a length",
      GET,
      [
        ["head", GET],
        ["end", ""],
      ],
    ],
    [
      "RFC 9112 §6.3: a body of the length that is told",
      `${POST}hello`,
      [
        ["head", POST],
        ["data", "hello"],
        ["end", ""],
      ],
    ],
    [
      "pipelined ones",
      `${POST}hello${GET}`,
      [
        ["head", POST],
        ["data", "hello"],
        ["end", ""],
        ["head", GET],
        ["end", ""],
      ],
    ],
    [
      "a body that has only begun",
      `${POST}he`,
      [
        ["head", POST],
        ["data", "he"],
        ["open", ""],
      ],
    ],
    ["a head that has only begun", GET.slice(0, -1), [["open", ""]]],
    [
      "RFC 9112 §2.2: an empty line in front",
      `\r\n${GET}`,
      [
        ["gap", "\r\n"],
        ["head", GET],
        ["end", ""],
      ],
    ],
    [
      "RFC 9112 §7.1: chunks with extensions and trailer fields",
      `${UPLOAD}5;a="b"\r\nhello\r\n0A \r\n0123456789\r\n0\r\nA: b\r\n\r\n${GET}`,
      [
        ["head", UPLOAD],
        ["framing", '5;a="b"\r\n'],
        ["data", "hello"],
        ["framing", "\r\n0A \r\n"],
        ["data", "0123456789"],
        ["framing", "\r\n0\r\n"],
        ["trailer", "A: b\r\n\r\n"],
        ["end", ""],
        ["head", GET],
        ["end", ""],
      ],
    ],
  ])("%s", (_, text, seen) => {
    expect(scanRequests([bytesOf(text)])).toEqual(seen);
    expect(scanRequests(oneByOne(bytesOf(text)))).toEqual(seen);
  });

  test.each([
    ["RFC 9112 §6.1: both a length and chunks", "Transfer-Encoding: chunked\r\nContent-Length: 5"],
    ["two lengths", "Content-Length: 5\r\nContent-Length: 5"],
    ["two lengths in one line", "Content-Length: 5, 5"],
    ["a length with a sign", "Content-Length: +5"],
    ["a hexadecimal length", "Content-Length: 0x5"],
    ["an empty length", "Content-Length:"],
    ["a length beyond what a number holds", `Content-Length: ${"9".repeat(16)}`],
    ["a coding that is not known", "Transfer-Encoding: xchunked"],
    ["chunked twice", "Transfer-Encoding: chunked, chunked"],
    ["identity behind chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"],
    ["RFC 9112 §6.3: a coding that does not end in chunked", "Transfer-Encoding: gzip"],
    ["an empty coding", "Transfer-Encoding:"],
  ])("are not told apart where the head has %s", (_, lines) => {
    expect(scanRequests([bytesOf(`POST / HTTP/1.1\r\n${lines}\r\n\r\n`)]).at(-1)?.[0]).toBe("malformed");
  });

  test.each([
    ["Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["a CONNECT with a body", "CONNECT a:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"],
    ["a folded line", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"],
    ["HTTP/0.9 behind another request", `${GET}GET /\r\n\r\n`],
    ["a request line that never becomes one", "hello world "],
    ["too many empty lines", "\r\n".repeat(5)],
    ["a head that is too long", `GET / HTTP/1.1\r\nA: ${"a".repeat(HEAD_LIMITS.maxBytes)}`],
  ])("end with %s", (_, text) => {
    expect(scanRequests([bytesOf(text)]).at(-1)?.[0]).toBe("malformed");
    expect(scanRequests(oneByOne(bytesOf(text))).at(-1)?.[0]).toBe("malformed");
  });

  test.each([
    ["no size", "\r\n"],
    ["a size that is no number", "g\r\n"],
    ["a negative size", "-1\r\n"],
    ["a size with a prefix", "0x5\r\n"],
    ["a size of 14 digits", "00000000000005\r\n"],
    ["a lone LF behind the size", "5\nhello\r\n"],
    ["a lone LF in an extension", "5;a\nhello\r\n"],
    ["a lone CR behind the size", "5\rhello"],
    ["a digit behind a space", "5 5\r\n"],
    ["more data than the size tells", "5\r\nhello!"],
    ["a lone LF behind the data", "5\r\nhello\n"],
    ["NUL in an extension", "5;\0"],
    ["an extension that is too long", `5;${"a".repeat(4_096)}`],
    ["a lone LF behind a trailer field", "0\r\nA: b\n"],
    ["trailer fields that are too long", `0\r\n${"A: b\r\n".repeat(2_731)}`],
  ])("end with a chunk that has %s", (_, chunk) => {
    expect(scanRequests([bytesOf(UPLOAD + chunk)]).at(-1)).toEqual(["malformed", "malformed chunk"]);
  });
});

describe("the messages of a stream of responses", () => {
  test.each<[string, string, string[], Seen[]]>([
    [
      "a length",
      `${OK}ok`,
      ["GET"],
      [
        ["head", OK],
        ["data", "ok"],
        ["end", ""],
      ],
    ],
    [
      "RFC 9112 §6.3: no body of a HEAD",
      `${OK}${OK}ok`,
      ["HEAD", "GET"],
      [
        ["head", OK],
        ["end", ""],
        ["head", OK],
        ["data", "ok"],
        ["end", ""],
      ],
    ],
    [
      "a body that ends with the connection",
      `${CLOSE}all of ${OK}`,
      ["GET"],
      [
        ["head", CLOSE],
        ["data", `all of ${OK}`],
        ["open", ""],
      ],
    ],
    [
      "a tunnel behind a CONNECT that succeeded",
      `${OK}tunnel`,
      ["CONNECT"],
      [
        ["head", OK],
        ["data", "tunnel"],
        ["open", ""],
      ],
    ],
    [
      "an interim response in front",
      `${CONTINUE}${OK}ok`,
      ["POST"],
      [
        ["head", CONTINUE],
        ["end", ""],
        ["head", OK],
        ["data", "ok"],
        ["end", ""],
      ],
    ],
    [
      "chunks",
      `${CHUNKED}2\r\nok\r\n0\r\n\r\n`,
      ["GET"],
      [
        ["head", CHUNKED],
        ["framing", "2\r\n"],
        ["data", "ok"],
        ["framing", "\r\n0\r\n"],
        ["trailer", "\r\n"],
        ["end", ""],
      ],
    ],
  ])("%s", (_, text, methods, seen) => {
    expect(scanResponses([bytesOf(text)], methods)).toEqual(seen);
    expect(scanResponses(oneByOne(bytesOf(text)), methods)).toEqual(seen);
  });

  test.each([204, 304])("have no body with status %i, whatever their length says", (status) => {
    const head = `HTTP/1.1 ${status} No\r\nContent-Length: 5\r\n\r\n`;
    expect(scanResponses([bytesOf(head + head)])).toEqual([
      ["head", head],
      ["end", ""],
      ["head", head],
      ["end", ""],
    ]);
  });

  test.each([
    ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["an early one", "ICY 200 OK\r\n"],
    ["HTTP/2", "HTTP/2 200\r\n"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n"],
    ["a status below 100", "HTTP/1.1 099 No\r\n"],
    ["a space before a colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n"],
    ["a lone CR", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n"],
    ["both a length and chunks", `${CHUNKED.slice(0, -2)}Content-Length: 2\r\n\r\n`],
    ["a head that is too long", `HTTP/1.1 200 OK\r\nA: ${"a".repeat(RESPONSE_HEAD_LIMITS.maxBytes)}`],
    ["too many header lines", `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(RESPONSE_HEAD_LIMITS.maxHeaders + 1)}\r\n`],
  ])("end with %s", (_, text) => {
    expect(scanResponses([bytesOf(text)]).at(-1)?.[0]).toBe("malformed");
    expect(scanResponses(oneByOne(bytesOf(text))).at(-1)?.[0]).toBe("malformed");
  });
});

describe("a stream that is cut anywhere", () => {
  const requests = [`${POST}hello${GET}`, `${UPLOAD}5\r\nhello\r\n0\r\nA: b\r\n\r\n\r\n${GET}`];
  const responses = [`${CONTINUE}${OK}ok${OK}ok`, `${CHUNKED}2;x\r\nok\r\n0\r\n\r\n${OK}ok`, `${OK}ok${CLOSE}rest`];

  test("consists of the same requests", () => keepsLaws(requests.map(bytesOf), scanRequests));
  test("consists of the same responses", () => keepsLaws(responses.map(bytesOf), scanResponses));

  function keepsLaws(valid: readonly Buffer[], read: (chunks: readonly Uint8Array[]) => Seen[]): void {
    const stream = fc.oneof(fc.constantFrom(...valid), mutated(valid), fc.uint8Array({ maxLength: 64 }));
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 30 });
    fc.assert(
      fc.property(stream, cuts, (bytes, sizes) => {
        const pieces: Uint8Array[] = [];
        let at = 0;
        for (const size of sizes) {
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        const whole = read([bytes]);
        const cut = read([...pieces, bytes.subarray(at)]);
        expect(withoutReasons(cut)).toEqual(withoutReasons(whole));
        const isRefused = whole.at(-1)?.[0] === "malformed";
        if (!isRefused && whole.at(-1)?.[0] !== "open") {
          expect(whole.map(([, text]) => text).join("")).toBe(latin1(bytes)); // no byte lost, none twice
        }
      }),
      { numRuns: RUNS },
    );
  }

  /** A fault may be seen before a piece is whole, and then the part that it is in is not told; what went before is the same. */
  function withoutReasons(seen: readonly Seen[]): Seen[] {
    const refused = seen.at(-1)?.[0] === "malformed";
    const told = refused ? seen.slice(0, -1) : [...seen];
    const last = told.at(-1);
    if (refused && last && ["framing", "trailer", "gap"].includes(last[0])) told.pop();
    return refused ? [...told, ["malformed", ""]] : told;
  }
});

test("a head that is trickled costs no quadratic time", () => {
  const head = bytesOf(`HTTP/1.1 200 OK\r\n${"a:b\r\n".repeat(200)}X: ${"y".repeat(60_000)}\r\n\r\n`);
  const begun = process.cpuUsage();
  expect(scanResponses(oneByOne(head))).toEqual([
    ["head", latin1(head)],
    ["open", ""],
  ]);
  expect(process.cpuUsage(begun).user).toBeLessThan(2_000_000); // about 50 ms; looking again at each byte would be 2 billion steps
});

test("a body costs no copy: its pieces are the chunk's own memory", () => {
  const scanner = new MessageScanner<RequestHead>({ decode: decodeRequestHead, limits: HEAD_LIMITS });
  const chunk = bytesOf(`${POST}hello`);
  scanner.feed(chunk);
  const head = scanner.next();
  if (head?.kind !== "head") throw new Error("no head");
  scanner.body(requestFraming(head.head) as { kind: "length"; bytes: number });
  const data = scanner.next();
  expect(head.bytes.buffer).toBe(chunk.buffer);
  expect(data).toMatchObject({ kind: "data" });
  expect(data?.kind === "data" && data.bytes.buffer).toBe(chunk.buffer);
});
