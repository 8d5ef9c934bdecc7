import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_PIPELINED, RequestFollower } from "../../../src/codecs/http/request-follower.ts";
import { ResponseFollower, type ResponsePart } from "../../../src/codecs/http/response-follower.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
const get = (target: string, more = ""): Buffer => bytesOf(`GET ${target} HTTP/1.1\r\nHost: a\r\n${more}\r\n`);
const upgrade = (target: string): Buffer => get(target, "Connection: keep-alive, Upgrade\r\nUpgrade: echo\r\n");

/** All parts of one chunk. */
function partsOf(responses: ResponseFollower, text: string): ResponsePart[] {
  responses.feed(bytesOf(text));
  const parts: ResponsePart[] = [];
  for (let part = responses.next(); part; part = responses.next()) {
    parts.push(part);
    if (part.kind === "malformed") break;
  }
  return parts;
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

describe("requests that are followed", () => {
  test("pass at once while their bodies and heads are cut anywhere", () => {
    const requests = new RequestFollower();
    const text = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET /b HTTP/1.1\r\n\r\n";
    for (const byte of bytesOf(text)) expect(requests.follow(Buffer.of(byte))).toBe(1);
    expect(requests.waiting.map(({ method, target }) => [method, target])).toEqual([
      ["POST", "/"],
      ["GET", "/b"],
    ]);
  });

  test(`wait behind ${MAX_PIPELINED} of them, until one is answered`, () => {
    const requests = new RequestFollower();
    const one = get("/");
    const chunk = Buffer.concat(Array.from({ length: MAX_PIPELINED + 2 }, () => one));
    const passed = requests.follow(chunk);
    expect(passed).toBe(MAX_PIPELINED * one.length);
    expect(requests.follow(chunk.subarray(passed))).toBe(0);
    let calls = 0;
    requests.onReady = () => calls++;
    partsOf(new ResponseFollower(requests), OK);
    expect(calls).toBe(1);
    expect(requests.follow(chunk.subarray(passed))).toBe(one.length);
    expect(requests.follow(chunk.subarray(passed + one.length))).toBe(0);
  });

  test("wait behind one that wants an upgrade; when that is refused, they are requests", () => {
    const requests = new RequestFollower();
    const first = upgrade("/");
    expect(requests.follow(Buffer.concat([first, get("/b")]))).toBe(first.length);
    partsOf(new ResponseFollower(requests), OK);
    expect(requests.follow(get("/b"))).toBe(get("/b").length);
    expect(requests.waiting.map(({ target }) => target)).toEqual(["/b"]);
  });

  test("RFC 9110 §7.8: are no HTTP behind a 101", () => {
    const requests = new RequestFollower();
    requests.follow(upgrade("/"));
    const [head] = partsOf(new ResponseFollower(requests), "HTTP/1.1 101 Go\r\nUpgrade: echo\r\n\r\n\x81");
    expect(head).toMatchObject({ kind: "head", response: { status: 101 }, request: { target: "/" } });
    expect(requests.follow(bytesOf("\0\0\0\0"))).toBe(4);
    expect(requests.malformed).toBeUndefined();
  });

  test("want no upgrade by a header that Connection does not name", () => {
    const requests = new RequestFollower();
    requests.follow(get("/", "Upgrade: echo\r\n"));
    expect(partsOf(new ResponseFollower(requests), "HTTP/1.1 101 Go\r\n\r\n")).toMatchObject([{ kind: "malformed" }]);
  });
});

describe("responses that are followed", () => {
  test("each have the request that they answer", () => {
    const requests = new RequestFollower();
    const responses = new ResponseFollower(requests);
    requests.follow(Buffer.concat([bytesOf("HEAD /a HTTP/1.1\r\n\r\n"), get("/b"), get("/c")]));
    const head = OK.slice(0, -2);
    const parts = partsOf(responses, `HTTP/1.1 103 Early Hints\r\n\r\n${head}${OK}HTTP/1.1 304 No\r\n\r\n`);
    const targets = parts.flatMap((part) => (part.kind === "head" ? [part.request.target] : []));
    expect(targets).toEqual(["/a", "/b", "/c"]);
    expect(parts.flatMap((part) => (part.kind === "pass" ? [Buffer.from(part.bytes).toString()] : []))).toEqual([
      "HTTP/1.1 103 Early Hints\r\n\r\n",
      "ok",
    ]);
  });

  test("may not come without a request, but for an error of the server's", () => {
    expect(partsOf(new ResponseFollower(new RequestFollower()), OK)).toMatchObject([{ kind: "malformed" }]);
    const requests = new RequestFollower();
    const last = "HTTP/1.1 408 Too late\r\nContent-Length: 3\r\n\r\n";
    expect(partsOf(new ResponseFollower(requests), `${last}all that follows`)).toMatchObject([
      { kind: "pass" },
      { kind: "pass" },
    ]);
    expect(requests.follow(bytesOf("anything"))).toBe(8);
  });

  test("may end within a body, not within a head", () => {
    const requests = new RequestFollower();
    const responses = new ResponseFollower(requests);
    requests.follow(Buffer.concat([get("/a"), get("/b")]));
    partsOf(responses, OK.slice(0, -1));
    expect(responses.atEnd()).toBeUndefined();
    partsOf(responses, `k${OK.slice(0, 10)}`);
    expect(responses.atEnd()).toBe("the peer ended within a head");
  });
});

test("a conversation is the same however both directions are cut, and no byte is lost", () => {
  const exchanges = [
    { ask: "GET /a HTTP/1.1\r\n\r\n", say: OK },
    { ask: "HEAD /b HTTP/1.1\r\n\r\n", say: OK.slice(0, -2) },
    { ask: "POST /c HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", say: "HTTP/1.1 204 No\r\n\r\n" },
    {
      ask: "PUT /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
      say: `HTTP/1.1 100 Go\r\n\r\n${OK}`,
    },
    {
      ask: "GET /e HTTP/1.1\r\n\r\n",
      say: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\n",
    },
    { ask: "GET /f HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", say: OK },
  ];
  const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...exchanges), { maxLength: 8 }), cuts, cuts, (chosen, asked, said) => {
      const requests = new RequestFollower();
      const responses = new ResponseFollower(requests);
      let up = bytesOf(chosen.map(({ ask }) => ask).join(""));
      const wholeDown = chosen.map(({ say }) => say).join("");
      let down = 0;
      let passed = "";
      const targets: string[] = [];
      // As filters do it: requests go as far as they may, then responses to what has gone.
      for (let turn = 0; up.length > 0 || down < wholeDown.length; turn++) {
        up = up.subarray(requests.follow(up.subarray(0, asked[turn % asked.length])));
        const asks = targets.length + requests.waiting.length;
        const open = chosen.slice(0, asks).reduce((sum, { say }) => sum + say.length, 0);
        const end = Math.min(down + (said[turn % said.length] ?? 1), open);
        for (const part of partsOf(responses, wholeDown.slice(down, end))) {
          if (part.kind === "malformed") throw new Error(part.reason);
          if (part.kind === "head") targets.push(part.request.target);
          passed += Buffer.from(part.bytes).toString("latin1");
        }
        down = end;
      }
      expect(requests.malformed).toBeUndefined();
      expect(passed).toBe(wholeDown);
      expect(targets).toEqual(chosen.map(({ ask }) => ask.split(" ")[1]));
    }),
    { numRuns: RUNS },
  );
});
