import { decodeRequestHead, type RequestHead } from "../codecs/http/request-head.ts";
import { refuseHttp } from "../codecs/refusal/http.ts";
import { type Condition, exampleOf, fulfils } from "./condition.ts";
import { perBytes } from "./per-bytes.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What `http()` learned from a request's head. */
export interface HttpInfo {
  readonly method: string;
  /** As the client sent it: `/a?b`, `http://host/a`, `host:443` of a CONNECT, or `*`. */
  readonly target: string;
  /** The target's path without query, not decoded; undefined for a CONNECT. */
  readonly path: string | undefined;
  /** `"0.9"`, `"1.0"`, `"1.1"`. */
  readonly version: string;
  /** Lower case, without port, brackets or final dot. An absolute target's wins over the Host field (RFC 9112 §3.2.2). */
  readonly host: string | undefined;
  /**
   * By lower-case name; repeated fields are joined. Credentials (`authorization`, `cookie`, …) can be read by name, but
   * are not enumerable: printing or serialising an info never shows them.
   */
  readonly headers: Readonly<Record<string, string>>;
  /** What the connection is to become, in lower case: `"websocket"`, `"h2c"`. Only with `Connection: upgrade`. */
  readonly upgrade: string | undefined;
}

/** Tests on a request; all that are given must hold. `host` is compared without regard to case. */
export interface HttpConditions {
  readonly method?: Condition;
  readonly path?: Condition;
  readonly host?: Condition;
  readonly headers?: Readonly<Record<string, Condition>>;
}

const SECRET = new Set(["authorization", "proxy-authorization", "cookie"]);
/** RFC 3986 §3.2.2: a name, an IPv4 address or one in brackets, and a port; or nothing at all. */
const AUTHORITY = /^(?:(?:\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=%-]+)(?::\d{0,5})?)?$/;
const ABSOLUTE = /^[^/?#]+:\/\/([^/?#]*)([^?#]*)/;

const requestOf = perBytes((bytes): Verdict<HttpInfo> => {
  const head = decodeRequestHead(bytes);
  if (head.kind === "more") return more(head.atLeast);
  const info = head.kind === "frame" ? infoOf(head.value) : undefined;
  return info ? match(info) : mismatch;
});

/** HTTP/1.0, 1.1 and the simple request of 0.9 by their whole head (RFC 9112), any method by grammar. */
export function http(conditions: HttpConditions = {}): Sniffer<"http", HttpInfo> {
  const accepts = compileConditions(conditions);
  const sniff: Sniffer<"http", HttpInfo>["sniff"] = (bytes) => {
    const request = requestOf(bytes);
    if (request.kind !== "match") return request;
    return accepts(request.info) ? request : mismatch;
  };
  const examples = examplesOf(conditions).filter((example) => sniff(example).kind === "match");
  return { name: "http", examples, sniff, refuse: refuseHttp };
}

function compileConditions(conditions: HttpConditions): (info: HttpInfo) => boolean {
  const { method, path, host, headers = {} } = conditions;
  const tests: ((info: HttpInfo) => boolean)[] = [];
  if (method !== undefined) tests.push(on(method, (info) => info.method));
  if (path !== undefined) tests.push(on(path, (info) => info.path));
  if (host !== undefined) tests.push(on(ignoringCase(host), (info) => info.host));
  for (const [name, condition] of Object.entries(headers)) {
    const key = name.toLowerCase();
    tests.push(on(condition, (info) => info.headers[key]));
  }
  return (info) => tests.every((test) => test(info));
}

function on(condition: Condition, field: (info: HttpInfo) => string | undefined): (info: HttpInfo) => boolean {
  const test = fulfils(condition);
  return (info) => test(field(info));
}

/** Host names are compared without case (RFC 3986 §3.2.2); the info's is in lower case. */
function ignoringCase(condition: Condition): Condition {
  if (typeof condition === "string") return condition.toLowerCase();
  if (condition instanceof RegExp && !condition.ignoreCase) return new RegExp(condition, `${condition.flags}i`);
  return condition;
}

/** Undefined when it is unclear whom the request is for: two Host fields, a malformed host, credentials in the target. */
function infoOf(head: RequestHead): HttpInfo | undefined {
  const { method, target, version } = head;
  const headers = joined(head.headers);
  const field = hostOf(headers["host"] ?? ""); // no host has a comma and a space in it, as two joined ones have
  const { authority, path } = partsOf(method, target);
  const host = authority === undefined ? field : hostOf(authority);
  if (field === undefined || host === undefined || (authority !== undefined && host === "")) return undefined;
  return { method, target, path, version, host: host || undefined, headers, upgrade: upgradeOf(headers) };
}

function partsOf(method: string, target: string): { readonly authority?: string; readonly path: string | undefined } {
  if (method === "CONNECT") return { authority: target, path: undefined };
  const [, authority, path] = (target.startsWith("/") ? undefined : ABSOLUTE.exec(target)) ?? [];
  return authority === undefined ? { path: target.replace(/[?#].*$/, "") } : { authority, path: path || "/" };
}

/** The host of an authority, `""` of an empty one, undefined of a malformed one. */
function hostOf(authority: string): string | undefined {
  const text = authority.toLowerCase();
  if (!AUTHORITY.test(text)) return undefined;
  if (text.startsWith("[")) return text.slice(1, text.indexOf("]"));
  const colon = text.indexOf(":");
  const name = colon === -1 ? text : text.slice(0, colon);
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

function joined(fields: RequestHead["headers"]): Readonly<Record<string, string>> {
  const headers: Record<string, string> = Object.create(null); // a field may be called __proto__
  for (const [name, value] of fields) {
    const key = name.toLowerCase();
    const before = headers[key];
    if (before !== undefined) headers[key] = `${before}${key === "cookie" ? "; " : ", "}${value}`;
    else if (SECRET.has(key)) Object.defineProperty(headers, key, { value, writable: true, configurable: true });
    else headers[key] = value;
  }
  return headers;
}

function upgradeOf({ connection, upgrade }: Readonly<Record<string, string>>): string | undefined {
  if (upgrade === undefined || connection === undefined) return undefined;
  const options = connection.toLowerCase().split(",");
  if (!options.some((option) => option.trim() === "upgrade")) return undefined;
  return upgrade.split(",")[0]?.trim().toLowerCase() || undefined;
}

function examplesOf({ method, path, host, headers = {} }: HttpConditions): Buffer[] {
  const verb = exampleOf(method, "GET");
  const target = verb === "CONNECT" ? "example.com:443" : exampleOf(path, "/").replace(/^x/, "/x");
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${exampleOf(value, "x")}\r\n`);
  const hostField = Object.keys(headers).some((name) => name.toLowerCase() === "host")
    ? ""
    : `Host: ${exampleOf(host, "example.com")}\r\n`;
  const whole = `${verb} ${target} HTTP/1.1\r\n${hostField}${fields.join("")}\r\n`;
  return [whole, `${verb} ${target} HTTP/1.0\r\n\r\n`, `${verb} ${target}\r\n`].map((text) =>
    Buffer.from(text, "latin1"),
  );
}
