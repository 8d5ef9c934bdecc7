import { type Decoded, frame, malformed, needs } from "../codecs/codec.ts";
import { latin1 } from "../codecs/latin1.ts";
import { refuseRedis } from "../codecs/refusal/redis.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What `redis()` learned of the first command. Never an argument: `AUTH` and `HELLO` carry passwords. */
export interface RedisInfo {
  /** In upper case. */
  readonly command: string;
  readonly args: number;
  /** Typed as a line instead of sent as an array. */
  readonly inline: boolean;
}

const MAX_ARRAY = 1024 * 1024; // Redis' own limit of arguments
const MAX_NAME = 64; // the longest command names, of modules, have about 30
const MAX_INLINE = 1024; // Redis reads up to 64 KiB; who types a line or checks health sends less
const NAME = /^[A-Za-z][A-Za-z0-9._-]*$/; // JSON.SET, FT.SEARCH and the like
const LINE = /^[\t\x20-\x7e\x80-\xff]*$/;
const STAR = 0x2a;
const DOLLAR = 0x24;
const ZERO = 0x30;
const CR = 0x0d;
const LF = 0x0a;

const ANY = Number.POSITIVE_INFINITY;
/**
 * Commands that people and health checks open a connection with by hand, and how many arguments each takes. A list,
 * because a sniffer that took any line for Redis would swallow every line protocol; counts, so that most prose fails.
 */
const INLINE: ReadonlyMap<string, readonly [least: number, most: number]> = new Map([
  ["AUTH", [1, 2]],
  ["CLIENT", [1, ANY]],
  ["COMMAND", [0, ANY]],
  ["CONFIG", [2, ANY]],
  ["DBSIZE", [0, 0]],
  ["DEL", [1, ANY]],
  ["ECHO", [1, 1]],
  ["EXISTS", [1, ANY]],
  ["GET", [1, 1]],
  ["HELLO", [1, 6]],
  ["INCR", [1, 1]],
  ["INFO", [0, ANY]],
  ["KEYS", [1, 1]],
  ["MGET", [1, ANY]],
  ["MONITOR", [0, 0]],
  ["PING", [0, 1]],
  ["PSUBSCRIBE", [1, ANY]],
  ["PUBLISH", [2, 2]],
  ["QUIT", [0, 0]],
  ["ROLE", [0, 0]],
  ["SCAN", [1, 5]],
  ["SELECT", [1, 1]],
  ["SENTINEL", [1, ANY]],
  ["SET", [2, 7]],
  ["SUBSCRIBE", [1, ANY]],
]);
/** First arguments that tell a Redis command from a line of prose. */
const FIRST_ARGUMENT: ReadonlyMap<string, RegExp> = new Map([
  ["HELLO", /^[23]$/],
  ["SELECT", /^\d+$/],
]);

/** Redis: an array of bulk strings (RESP), or a known command typed as a line. */
export function redis(): Sniffer<"redis", RedisInfo> {
  return {
    name: "redis",
    refuse: refuseRedis,
    examples: [Buffer.from("*1\r\n$4\r\nPING\r\n"), Buffer.from("PING\r\n"), Buffer.from("GET key\r\n")],
    sniff: (head) => (head[0] === STAR ? array(head) : line(head)),
  };
}

function array(head: Uint8Array): Verdict<RedisInfo> {
  const count = counted(head, 0, { mark: STAR, most: MAX_ARRAY });
  if (count.kind !== "frame") return undecided(count);
  const length = counted(head, count.size, { mark: DOLLAR, most: MAX_NAME });
  if (length.kind !== "frame") return undecided(length);
  const end = length.size + length.value;
  const name = latin1(head, length.size, Math.min(end, head.length));
  if (name !== "" && !NAME.test(name)) return mismatch;
  if (head.length > end && head[end] !== CR) return mismatch;
  if (head.length < end + 2) return more(head.length + 1);
  if (head[end + 1] !== LF) return mismatch;
  return match({ command: name.toUpperCase(), args: count.value - 1, inline: false });
}

/** `<mark><digits>\r\n`; the frame's size is where it ends in `head`. Redis takes no leading zero. */
function counted(head: Uint8Array, at: number, { mark, most }: { mark: number; most: number }): Decoded<number> {
  if (at >= head.length) return needs(head.length + 1);
  if (head[at] !== mark) return malformed("mark");
  let value = 0;
  for (let index = at + 1; index < head.length; index++) {
    const byte = head[index];
    const digit = byte === undefined ? -1 : byte - ZERO;
    if (digit >= 0 && digit <= 9 && (value > 0 || digit > 0)) value = value * 10 + digit;
    else if (byte !== CR || value === 0) return malformed("digit");
    else if (index + 1 === head.length) break;
    else return head[index + 1] === LF ? frame(value, index + 2) : malformed("line end");
    if (value > most) return malformed("too many");
  }
  return needs(head.length + 1);
}

function undecided(count: Exclude<Decoded<number>, { kind: "frame" }>): Verdict<RedisInfo> {
  return count.kind === "more" ? more(count.atLeast) : mismatch;
}

/** Looks at a kilobyte at most, however often it is asked. */
function line(head: Uint8Array): Verdict<RedisInfo> {
  const text = latin1(head, 0, Math.min(head.length, MAX_INLINE));
  const end = text.indexOf("\n");
  const words = (end === -1 ? text : text.slice(0, end)).replace(/\r$/, "");
  if (!LINE.test(words) || !begins(words, end === -1)) return mismatch;
  if (end === -1) return head.length < MAX_INLINE ? more(head.length + 1) : mismatch;
  const [name = "", ...args] = words.split(" ").filter((word) => word !== "");
  const command = name.toUpperCase();
  return isCommand(command, args) ? match({ command, args: args.length, inline: true }) : mismatch;
}

/**
 * Is the line's first word a command (or may it become one), and is the line none of HTTP's? `GET /` is a simple HTTP
 * request and could be Redis asked for a key of that name: it is left to HTTP.
 */
function begins(words: string, growing: boolean): boolean {
  const space = words.indexOf(" ");
  const name = (space === -1 ? words : words.slice(0, space)).toUpperCase();
  if (space === -1 && growing) return [...INLINE.keys()].some((known) => known.startsWith(name));
  return INLINE.has(name) && !/^ *\//.test(words.slice(name.length));
}

function isCommand(command: string, args: readonly string[]): boolean {
  const [least, most] = INLINE.get(command) ?? [ANY, 0];
  if (args.length < least || args.length > most || args.at(-1)?.startsWith("HTTP/")) return false;
  return FIRST_ARGUMENT.get(command)?.test(args[0] ?? "") ?? true;
}
