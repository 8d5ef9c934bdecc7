import type { SyncSource, VersionedData } from "./source.ts";

const ADDRESS = "http://127.0.0.1:8500";

/** Consul answers after this time at the latest, changed or not; proxies between cut longer silences. */
const WAIT_MS = 55_000;

/** Consul adds up to a sixteenth to the wait, and then has to send its answer. */
const PATIENCE_MS = 15_000;

/** More than any dictionary should copy every time that something in it changes. */
const MAX_BYTES = 16 * 1024 ** 2;

/** Where in Consul. */
export interface ConsulKvOptions {
  /** Default `http://127.0.0.1:8500`. */
  readonly address?: string | undefined;
  /** Keys below it, without it: `config/edge/`. */
  readonly prefix: string;
  /** `X-Consul-Token`. */
  readonly token?: string | undefined;
  /** How long Consul may keep an answer back while nothing changes. Default 55,000. */
  readonly waitMs?: number | undefined;
  /** A longer answer is refused. Default 16 MiB. */
  readonly maxBytes?: number | undefined;
}

/** Keys of Consul's KV store below a prefix, by blocking queries: a change is there at once. Values are read as UTF-8. */
export function consulKv(options: ConsulKvOptions): SyncSource {
  const { address = ADDRESS, waitMs = WAIT_MS, maxBytes = MAX_BYTES, token } = options;
  return {
    id: `consul ${address} ${options.prefix}`,
    timeoutMs: waitMs + waitMs / 16 + PATIENCE_MS,
    async load(known, signal) {
      const headers = token === undefined ? {} : { "X-Consul-Token": token };
      const response = await fetch(urlOf(options, known, waitMs), { signal, headers });
      const version = response.headers.get("x-consul-index");
      if ((response.status !== 200 && response.status !== 404) || version === null) {
        await response.body?.cancel();
        throw new Error(`consul answered ${response.status}`);
      }
      const text = await readText(response, maxBytes);
      if (version === known) return undefined;
      return dataOf(response.status === 404 ? "[]" : text, version, options.prefix);
    },
  };
}

/** Without an index, or with one that is no number above 0, Consul answers at once. */
function urlOf({ address = ADDRESS, prefix }: ConsulKvOptions, known: string | undefined, waitMs: number): URL {
  const path = prefix.split("/").map(encodeURIComponent).join("/");
  const url = new URL(`/v1/kv/${path}`, address);
  url.searchParams.set("recurse", "true");
  if (known !== undefined && /^[1-9]\d*$/.test(known)) {
    url.searchParams.set("index", known);
    url.searchParams.set("wait", `${waitMs}ms`);
  }
  return url;
}

async function readText({ body }: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // The types of Node 20 do not say that a body can be iterated over.
  const reader = body?.getReader();
  for (let piece = await reader?.read(); piece?.value !== undefined; piece = await reader?.read()) {
    size += piece.value.length;
    if (size > maxBytes) {
      await reader?.cancel();
      throw new Error(`consul answered with more than ${maxBytes} bytes`);
    }
    chunks.push(piece.value);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function dataOf(text: string, version: string, prefix: string): VersionedData {
  const list: unknown = JSON.parse(text);
  if (!Array.isArray(list)) throw new Error("consul answered with something that is no list of keys");
  const entries = new Map<string, string>();
  for (const item of list) {
    const { Key: key, Value: value }: { Key?: unknown; Value?: unknown } = Object(item);
    if (typeof key !== "string" || !key.startsWith(prefix)) continue;
    entries.set(
      key.slice(prefix.length),
      typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : "",
    );
  }
  return { version, entries };
}
