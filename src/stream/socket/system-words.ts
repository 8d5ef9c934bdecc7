import { getSystemErrorMap } from "node:util";
import { messageOf } from "../../errors.ts";

/** Where libuv words an error otherwise than the C library, whose words OpenResty shows (`strerror`, lower-cased). */
const STRERROR: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "cannot assign requested address",
  EAFNOSUPPORT: "address family not supported by protocol",
  EHOSTUNREACH: "no route to host",
  EMSGSIZE: "message too long",
  ENFILE: "too many open files in system",
  ENOBUFS: "no buffer space available",
  ENOMEM: "no memory", // OpenResty's own word
  ENOTCONN: "transport endpoint is not connected",
  EPROTOTYPE: "protocol wrong type for socket",
  ERR_STREAM_DESTROYED: "closed",
  ERR_SOCKET_DGRAM_NOT_RUNNING: "closed",
};

const libuvWords = new Map([...getSystemErrorMap().values()]);

/** A failure of the system in OpenResty's words: `connection refused`, `broken pipe`. */
export function systemWords(cause: unknown): string {
  const code = codeOf(cause);
  return STRERROR[code] ?? libuvWords.get(code) ?? messageOf(cause).toLowerCase();
}

/** `ECONNREFUSED`, also of an error that is wrapped in one of ours; empty when there is none. */
export function codeOf(cause: unknown): string {
  if (!(cause instanceof Error)) return "";
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  return code === "" || code.startsWith("RC_") ? codeOf(cause.cause) : code;
}
