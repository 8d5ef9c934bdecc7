import type { Refusal } from "../../errors.ts";
import { codeOf, type StatusTable } from "./status-table.ts";
import { reasonOf, secondsOf } from "./words.ts";

/** PostgreSQL's appendix A. Clients with several hosts go on to the next one at 57P03. */
const STATES: StatusTable<string> = {
  exact: {
    400: "08P01", // protocol violation
    401: "28P01", // invalid password
    429: "53300", // too many connections
    500: "XX000", // internal error
  },
  refused: "28000", // invalid authorization specification
  failed: "57P03", // cannot connect now
};
const NO = Buffer.from("N"); // to a request for encryption: not here, go on in plain

/** Answers before the error, by what the client asked for; after GSSAPI most ask for TLS. A cancel request gets no answer, ever. */
const BEFORE: ReadonlyMap<string, readonly Uint8Array[]> = new Map([
  ["startup", []],
  ["ssl", [NO]],
  ["gssenc", [NO, NO]],
]);

/**
 * Refuses a PostgreSQL client with an ErrorResponse. A client that asked for encryption first is told that there is none, and told
 * the error when it has gone on: one in the place of that answer, or glued to it, is not shown to its user.
 */
export function refusePostgres(refusal: Refusal, { kind }: { readonly kind: string }): Uint8Array[] | undefined {
  const before = BEFORE.get(kind);
  return before && [...before, errorResponse(refusal)];
}

/** Fields with a letter each, ended by NUL: severity, code, message and hint. */
function errorResponse(refusal: Refusal): Buffer {
  const { status, redirect } = refusal;
  const seconds = secondsOf(refusal);
  const hints = [
    seconds === undefined ? "" : `Try again in ${seconds} s.`,
    redirect === undefined ? "" : `Connect to ${redirect}.`,
  ];
  const hint = hints.filter((part) => part !== "").join(" ");
  return fatal({ code: codeOf(STATES, status), message: reasonOf(refusal), hint });
}

/** An ErrorResponse that ends the session. No text of it has a NUL. */
export function fatal({ code, message, hint = "" }: { code: string; message: string; hint?: string }): Buffer {
  const fields = ["SFATAL", "VFATAL", `C${code}`, `M${message}`, ...(hint === "" ? [] : [`H${hint}`])];
  const body = Buffer.from(`${fields.join("\0")}\0\0`);
  const head = Buffer.alloc(5, "E");
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
