import { goodbyeAmqp } from "../codecs/goodbye/amqp.ts";
import { refuseAmqp } from "../codecs/refusal/amqp.ts";
import { match, mismatch, more, type Sniffer, startsWith } from "./sniffer.ts";

/** What `amqp()` learned from the protocol header. */
export interface AmqpInfo {
  readonly version: "0-8" | "0-9" | "0-9-1" | "0-10" | "1.0";
  /** What 1.0 wants to speak first: itself, TLS on this connection, or SASL (AMQP 1.0 §2.2, §5.2.1, §5.3.2). */
  readonly layer: "amqp" | "tls" | "sasl";
}

type Header = readonly [bytes: Buffer, info: AmqpInfo];

const HEADERS: readonly Header[] = [
  header([0, 0, 9, 1], "0-9-1"),
  header([1, 1, 0, 9], "0-9"),
  header([1, 1, 8, 0], "0-8"),
  header([1, 1, 0, 10], "0-10"),
  header([0, 1, 0, 0], "1.0"),
  header([2, 1, 0, 0], "1.0", "tls"),
  header([3, 1, 0, 0], "1.0", "sasl"),
];

/** AMQP: the client speaks first with `AMQP` and four bytes that name the version. */
export function amqp(): Sniffer<"amqp", AmqpInfo> {
  return {
    name: "amqp",
    refuse: refuseAmqp,
    goodbye: goodbyeAmqp,
    examples: HEADERS.map(([bytes]) => bytes),
    sniff(head) {
      const begun = HEADERS.find(([bytes]) => startsWith(head, bytes).kind !== "mismatch");
      if (!begun) return mismatch;
      const [bytes, info] = begun;
      return head.length < bytes.length ? more(head.length + 1) : match(info);
    },
  };
}

function header(tail: readonly number[], version: AmqpInfo["version"], layer: AmqpInfo["layer"] = "amqp"): Header {
  return [Buffer.concat([Buffer.from("AMQP"), Buffer.from(tail)]), { version, layer }];
}
