import type { ReadError } from "../reader.ts";

/** The answer of what either happened or not. */
export type Done = { readonly ok: true; readonly err?: undefined } | Failure;

/** Why something did not happen, in OpenResty's words: `closed`, `timeout`, `connection refused`. */
export interface Failure {
  readonly err: string;
  readonly ok?: undefined;
}

/** What `send` answers: how many bytes are with the kernel. */
export type Sent =
  | { readonly sent: number; readonly err?: undefined }
  | { readonly err: string; readonly sent?: undefined };

/** Why a read of an outgoing socket gave no data. */
export type SocketReadError = ReadError | "socket busy connecting" | "aborted";

/** A read without data; `partial` is what had come until then, and consumed. */
export interface SocketReadFailure {
  readonly data?: undefined;
  readonly err: SocketReadError;
  readonly partial: Buffer;
}

/** What a read of an outgoing socket answers. */
export type SocketReceived =
  | { readonly data: Buffer; readonly err?: undefined; readonly partial?: undefined }
  | SocketReadFailure;

export const OK: Done = Object.freeze({ ok: true });
