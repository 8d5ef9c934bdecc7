import fc from "fast-check";
import { expect, test } from "vitest";
import { requestFraming, responseFraming } from "../../../src/codecs/http/framing.ts";
import { MessageScanner } from "../../../src/codecs/http/message-scanner.ts";
import { decodeRequestHead, HEAD_LIMITS, type RequestHead } from "../../../src/codecs/http/request-head.ts";
import { decodeResponseHead, RESPONSE_HEAD_LIMITS, type ResponseHead } from "../../../src/codecs/http/response-head.ts";
import type { GatewayError } from "../../../src/errors.ts";
import { stagesOf } from "../../../src/stream/filter/body-filter.ts";
import { FilterRelay } from "../../../src/stream/filter/filter-relay.ts";
import { headerStages } from "../../../src/stream/filter/header-filter.ts";
import type { HeaderFilterHost } from "../../../src/stream/filter/header-tools.ts";
import { httpBody } from "../../../src/stream/filter/http-body.ts";
import { Inlet } from "../../../src/stream/inlet.ts";
import type { Awaitable, FilterSession } from "../../../src/stream/session.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";
import { ScriptedSocket, type Weather } from "../../support/scripted-socket.ts";

// What comes out of HTTP filters is the same however both directions are cut, and however slow sockets and filters are.

/** A request, its response, and what bodies become of them. */
interface Exchange {
  readonly ask: string;
  readonly say: string;
  readonly asked: string;
  readonly said: string;
}

const LENGTH = "Content-Length: 5\r\n\r\nabcba";
const CHUNKS = "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n3\r\ncba\r\n0\r\nX: y\r\n\r\n";
const exchanges: readonly Exchange[] = [
  { ask: "GET /a HTTP/1.1\r\n\r\n", say: `HTTP/1.1 200 OK\r\n${LENGTH}`, asked: "", said: "AbcbA." },
  { ask: `POST /b HTTP/1.1\r\n${LENGTH}`, say: `HTTP/1.1 404 No\r\n${CHUNKS}`, asked: "abBcbBa!", said: "AbcbA." },
  { ask: `PUT /c HTTP/1.1\r\n${CHUNKS}`, say: "HTTP/1.1 204 No\r\n\r\n", asked: "abBcbBa!", said: "" },
  { ask: "HEAD /d HTTP/1.1\r\n\r\n", say: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", asked: "", said: "" },
  {
    ask: "GET /e HTTP/1.1\r\n\r\n",
    say: `HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\n${LENGTH}`,
    asked: "",
    said: "AbcbA.",
  },
  { ask: "\r\nGET /f HTTP/1.1\r\n\r\n", say: "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", asked: "", said: "" },
];

type Wait = <T>(value: T) => Awaitable<T>;

/** A relay with all HTTP filters, and what it ends with. */
function relayed(client: ScriptedSocket, peer: ScriptedSocket, wait: Wait): Promise<GatewayError | undefined> {
  const session = { protocol: "http", phase: "bodyFilter", hook: (_phase: string, work: () => unknown) => work() };
  const body = stagesOf(
    {
      client: httpBody((piece) => wait(piece.toString("latin1").replaceAll("b", "bB")), {
        end: () => wait("!"),
      }),
      upstream: httpBody((piece) => wait(piece.toString("latin1").replaceAll("a", "A")), { end: () => wait(".") }),
    },
    session as unknown as FilterSession,
  );
  const relay = new FilterRelay(new Inlet(client), new Inlet(peer), {
    idleTimeoutMs: 60_000,
    filters: (control) => {
      const host = session as unknown as HeaderFilterHost;
      const number = { next: 0 };
      const filter: Parameters<typeof headerStages>[0] = (_session, { response, request }) => {
        response?.headers.set("N", `${number.next++} ${request?.target}`);
        return wait(undefined);
      };
      return headerStages(filter, host, control).around(body);
    },
  });
  return new Promise((resolve) => relay.onEnd((_cause, error) => resolve(error)));
}

interface Message {
  readonly head: string;
  body: string;
}

/** The messages of a whole stream, bodies free of their framing. */
function messagesOf<Head>(
  bytes: Buffer,
  scanner: MessageScanner<Head>,
  framing: (head: Head) => ReturnType<typeof requestFraming>,
): Message[] {
  const messages: Message[] = [];
  scanner.feed(bytes);
  for (let part = scanner.next(); part; part = scanner.next()) {
    if (part.kind === "malformed") throw new Error(`${part.reason}: ${bytes.toString("latin1")}`);
    if (part.kind === "data") (messages.at(-1) ?? { body: "" }).body += Buffer.from(part.bytes).toString("latin1");
    if (part.kind !== "head") continue;
    const told = framing(part.head);
    if (told.kind === "malformed") throw new Error(told.reason);
    scanner.body(told);
    messages.push({ head: Buffer.from(part.bytes).toString("latin1"), body: "" });
  }
  expect(scanner.isIdle).toBe(true);
  return messages;
}

const weather: fc.Arbitrary<Weather> = fc.record({
  pauses: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
  lags: fc.array(fc.nat(4), { minLength: 1, maxLength: 4 }),
  room: fc.constantFrom(1, 16, 100, 65_536),
});
const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
const waits = fc.array(fc.nat(2), { minLength: 1, maxLength: 5 });

function cut(text: string, by: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < text.length; turn++) {
    const size = by[turn % by.length] ?? 1;
    chunks.push(Buffer.from(text.slice(at, at + size), "latin1"));
    at += size;
  }
  return chunks;
}

function waiter(turns: readonly number[]): Wait {
  let calls = 0;
  return (value) => {
    const left = turns[calls++ % turns.length] ?? 0;
    return left === 0 ? value : later(value, left);
  };
}

async function later<T>(value: T, turns: number): Promise<T> {
  for (let left = turns; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
  return value;
}

test("heads and bodies come out edited, in order and framed right", async () => {
  const chosen = fc.array(fc.constantFrom(...exchanges), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(
      chosen,
      weather,
      weather,
      fc.tuple(sizes, sizes, waits),
      async (talk, up, down, [asks, says, turns]) => {
        const client = new ScriptedSocket(up);
        const peer = new ScriptedSocket(down);
        const ended = relayed(client, peer, waiter(turns));
        await client.deliver(cut(talk.map(({ ask }) => ask).join(""), asks));
        while (!peer.writableFinished) await later(undefined, 1); // a response before its request would be nobody's
        await peer.deliver(cut(talk.map(({ say }) => say).join(""), says));
        expect(await ended).toBeUndefined();
        const requests = messagesOf(
          Buffer.concat(peer.written),
          new MessageScanner<RequestHead>({ decode: decodeRequestHead, limits: HEAD_LIMITS }),
          requestFraming,
        );
        expect(requests.map(({ body }) => body)).toEqual(talk.map(({ asked }) => asked));
        const methods = talk.map(({ ask }) => ask.trimStart().split(" ")[0] ?? "");
        const responses = messagesOf(
          Buffer.concat(client.written),
          new MessageScanner<ResponseHead>({ decode: decodeResponseHead, limits: RESPONSE_HEAD_LIMITS }),
          (head) => (head.status < 200 ? { kind: "none" } : responseFraming(head, methods.shift() ?? "")),
        ).filter(({ head }) => !head.includes(" 100 "));
        expect(responses.map(({ body }) => body)).toEqual(talk.map(({ said }) => said));
        const targets = talk.map(({ ask }, index) => `${index} ${/ (\/\w) /.exec(ask)?.[1]}`);
        expect(responses.map(({ head }) => /\r\nN: (.*)\r/.exec(head)?.[1])).toEqual(targets);
      },
    ),
    // A whole relay for each.
    { numRuns: Math.min(RUNS, 10_000) },
  );
});
