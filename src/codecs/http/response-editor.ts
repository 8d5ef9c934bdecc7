import { isBodiless } from "./framing.ts";
import { editedHead, type HeaderEditor, Headers } from "./headers.ts";
import type { ResponseHead } from "./response-head.ts";

/** The head of a response, to be changed in `phases.headerFilter` before it goes to the client. */
export interface HttpResponse {
  /** May be changed to another one with which the body is still right. @throws TypeError otherwise */
  status: number;
  /** The words behind the status; no client goes by them. @throws TypeError for what cannot stand there */
  reason: string;
  /** `"1.0"` or `"1.1"`. */
  readonly version: string;
  readonly headers: HeaderEditor;
}

const REASON = /^[\t\x20-\x7e\x80-\xff]*$/; // RFC 9112 §4
const SWITCHING_PROTOCOLS = 101;

/** A response's head while it may be changed. What is not touched leaves as it came, byte for byte. */
export class ResponseEditor implements HttpResponse {
  readonly version: string;
  readonly headers: Headers;
  readonly #bytes: Uint8Array;
  readonly #head: ResponseHead;
  #status: number;
  #reason: string;

  constructor(head: ResponseHead, bytes: Uint8Array) {
    this.version = head.version;
    this.headers = new Headers(head.headers);
    this.#bytes = bytes;
    this.#head = head;
    this.#status = head.status;
    this.#reason = head.reason;
  }

  get status(): number {
    return this.#status;
  }

  set status(status: number) {
    if (!Number.isInteger(status) || status < 200 || status > 599)
      throw new TypeError(`status ${status}: not from 200 to 599`);
    if (isBodiless(status) !== isBodiless(this.#head.status) || this.#head.status === SWITCHING_PROTOCOLS) {
      throw new TypeError(`status ${status} in the place of ${this.#head.status}: the body stays as it is`);
    }
    if (status !== this.#status) this.#reason = ""; // the words were another status's
    this.#status = status;
  }

  get reason(): string {
    return this.#reason;
  }

  set reason(reason: string) {
    if (typeof reason !== "string" || !REASON.test(reason)) throw new TypeError("reason: text in one line");
    this.#reason = reason;
  }

  /** The head as it shall leave. */
  encode(): Uint8Array {
    const isStatusLineEdited = this.#status !== this.#head.status || this.#reason !== this.#head.reason;
    if (!isStatusLineEdited && !this.headers.isEdited) return this.#bytes;
    const statusLine = isStatusLineEdited ? `HTTP/${this.version} ${this.#status} ${this.#reason}\r\n` : undefined;
    return editedHead(this.#bytes, this.headers, statusLine);
  }
}
