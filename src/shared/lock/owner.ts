import { randomBytes } from "node:crypto";
import process from "node:process";
import { startOf } from "../dict/process-state.ts";

/** Enough that two waiters of one process never draw the same. */
const SERIAL_BYTES = 9;

/** What all tokens of this process begin with; another one that gets its number later has begun at another time. */
let ownPrefix: string | undefined;

function prefix(): string {
  ownPrefix ??= `${process.pid}.${process.platform === "linux" ? (startOf(process.pid) ?? 0) : 0}.`;
  return ownPrefix;
}

/** Makes the name of one owner of a lock: no other has it, and it tells which process the owner lives in. */
export function newToken(): string {
  return prefix() + randomBytes(SERIAL_BYTES).toString("base64url");
}

/** Whether the process that made a token runs no more. Where that cannot be told: no. */
export function hasOwnerEnded(token: string): boolean {
  if (token.startsWith(prefix()) || process.platform !== "linux") return false;
  const [pid, start] = token.split(".", 2);
  try {
    return startOf(Number(pid)) !== Number(start);
  } catch {
    return false; // too many open files, for example: no reason to take anything from anybody
  }
}
