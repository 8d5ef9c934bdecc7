import { messageOf } from "../../errors.ts";
import { ConfigError } from "../config/config-error.ts";
import type { Failure } from "./calls.ts";

/** An error as it travels. */
export function failureOf(cause: unknown): Failure {
  return { message: messageOf(cause), lines: cause instanceof ConfigError ? cause.lines : undefined };
}

/** What arrived, as the error that it was. */
export function errorOf({ message, lines }: Failure): Error {
  return lines ? new ConfigError(lines) : new Error(message);
}
