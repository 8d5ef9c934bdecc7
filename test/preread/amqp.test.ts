import { amqp } from "../../src/preread/amqp.ts";
import { promptLaw } from "../laws/prompt-law.ts";
import { type Sample, snifferLaws } from "../laws/sniffer-laws.ts";

const header = (...tail: number[]): Buffer => Buffer.concat([Buffer.from("AMQP"), Buffer.from(tail)]);

const samples: readonly Sample[] = [
  { name: "0-9-1", bytes: header(0, 0, 9, 1, 1), verdict: "match", info: { version: "0-9-1", layer: "amqp" } },
  { name: "0-9", bytes: header(1, 1, 0, 9), verdict: "match", info: { version: "0-9", layer: "amqp" } },
  { name: "0-8", bytes: header(1, 1, 8, 0), verdict: "match", info: { version: "0-8", layer: "amqp" } },
  { name: "0-10", bytes: header(1, 1, 0, 10), verdict: "match", info: { version: "0-10", layer: "amqp" } },
  { name: "1.0", bytes: header(0, 1, 0, 0), verdict: "match", info: { version: "1.0", layer: "amqp" } },
  { name: "1.0 with TLS", bytes: header(2, 1, 0, 0), verdict: "match", info: { version: "1.0", layer: "tls" } },
  { name: "1.0 with SASL", bytes: header(3, 1, 0, 0), verdict: "match", info: { version: "1.0", layer: "sasl" } },
  { name: "the name alone", bytes: header(), verdict: "more" },
  { name: "all but the last byte", bytes: header(0, 0, 9), verdict: "more" },
  { name: "a version that does not exist", bytes: header(0, 2), verdict: "mismatch" },
  { name: "a word that begins so", bytes: Buffer.from("AMQPS\r\n"), verdict: "mismatch" },
];
snifferLaws(amqp(), samples);
promptLaw(amqp(), samples);
