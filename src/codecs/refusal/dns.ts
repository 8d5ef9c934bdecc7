import type { Refusal } from "../../errors.ts";
import { codeOf, type StatusTable } from "./status-table.ts";

/** RFC 1035 §4.1.1: after SERVFAIL a resolver asks the next server. */
const RCODES: StatusTable<number> = {
  exact: { 400: 1, 501: 4 }, // format error, not implemented
  refused: 5,
  failed: 2, // server failure
};
const HEADER = 12;
const RESPONSE = 0x80;

/** Refuses a DNS query over TCP: a response without question and answers (RFC 1035 §4.1.1, §4.2.2), which resolvers take for errors. */
export function refuseDns({ status }: Refusal, { id }: { readonly id: number }): Uint8Array {
  const message = Buffer.alloc(2 + HEADER);
  message.writeUInt16BE(HEADER, 0);
  message.writeUInt16BE(id, 2);
  message.writeUInt8(RESPONSE, 4);
  message.writeUInt8(codeOf(RCODES, status), 5);
  return message;
}
