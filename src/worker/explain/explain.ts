import { decodeClientHello } from "../../codecs/tls/client-hello.ts";
import { tlsOpening } from "../../codecs/tls/opening.ts";
import type { GatewayConfig, ServerConfig } from "../../gateway.ts";
import { UsageError } from "../config/config-error.ts";
import { nearest } from "../config/nearest.ts";
import { explainPassthrough, explainRoutes } from "./explain-routes.ts";
import { shownBytes } from "./shown-bytes.ts";

/**
 * Says what each server would do with a client that begins with these bytes: each sniffer's verdict at each length where
 * it changed, and the route taken. It asks the engine that serves, so it cannot say otherwise.
 * @throws UsageError for a server that there is not
 */
export function explain(config: GatewayConfig, bytes: Uint8Array, only?: string): readonly string[] {
  const names = Object.keys(config.servers);
  if (only !== undefined && !names.includes(only)) {
    throw new UsageError(`--server: there is no ${only}; expected ${nearest(only, names) ?? names.join(", ")}`);
  }
  return Object.entries(config.servers)
    .filter(([name]) => only === undefined || name === only)
    .flatMap(([name, server]) => [
      `server ${name}: ${counted(bytes.length)}${bytes.length > 0 ? ` ${shownBytes(bytes)}` : ""}`,
      ...explainServer(server, bytes).map((line) => `  ${line}`),
      ...(server.phases?.preread ? ["  phases.preread may decide otherwise"] : []),
    ]);
}

function counted(size: number): string {
  return size === 1 ? "1 byte" : `${size} bytes`;
}

function explainServer(server: ServerConfig, bytes: Uint8Array): readonly string[] {
  const mode = server.ssl?.mode ?? "starttls";
  if (mode === "starttls") return explainRoutes(server, bytes);
  if (mode === "auto" && (bytes.length === 0 || speaksFirst(server))) return explainRoutes(server, bytes);
  const opening = tlsOpening(bytes);
  if (opening.kind === "more") return [`TLS or plain? → waits: ${counted(opening.atLeast)} will tell`];
  if (opening.kind !== "plain") return explainHello(server, bytes);
  if (mode === "auto") return ["plain, not TLS", ...explainRoutes(server, bytes)];
  return ["→ RC_TLS_PLAIN: ssl.mode is always; inside TLS the same bytes mean:", ...explainRoutes(server, bytes)];
}

/** Then nobody waits for a hello either. */
function speaksFirst({ routes }: ServerConfig): boolean {
  return routes.some((route) => route.kind === "silent" && route.afterMs === 0);
}

/** What happens before the handshake; what comes inside of TLS is another question. */
function explainHello(server: ServerConfig, bytes: Uint8Array): readonly string[] {
  const hello = decodeClientHello(bytes);
  if (hello.kind === "more") return [`TLS → waits: the ClientHello wants ${hello.atLeast} bytes`];
  if (hello.kind === "malformed") return [`TLS → RC_TLS_HELLO: ${hello.reason}`];
  const { serverName, alpn } = hello.value;
  const said = `TLS, ClientHello of ${hello.size} bytes, server name ${serverName ?? "none"}, ALPN ${alpn.join(" ") || "none"}`;
  const { lines, taken } = explainPassthrough(server, bytes);
  if (taken !== undefined) return [said, ...lines, `→ ${taken}; TLS passes through as it is`];
  return [
    said,
    ...lines,
    "→ TLS ends here; after the handshake all routes are asked about the clear text: explain that",
  ];
}
