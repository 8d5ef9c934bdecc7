import { describe, expect, test } from "vitest";
import * as preread from "../../src/preread/index.ts";
import type { Sniffer } from "../../src/preread/sniffer.ts";

const { bytes, lengthPrefixed } = preread;
const sniffers: Readonly<Record<string, Sniffer>> = {
  tls: preread.tls(),
  http: preread.http(),
  http2: preread.http2(),
  mqtt: preread.mqtt(),
  msgpack: preread.msgpack(),
  ssh: preread.ssh(),
  redis: preread.redis(),
  postgres: preread.postgres(),
  socks: preread.socks(),
  dns: preread.dns(),
  xmpp: preread.xmpp(),
  amqp: preread.amqp(),
  rdp: preread.rdp(),
  "bytes /^GAME \\d/": bytes(/^GAME \d/, { example: "GAME 7" }),
  "lengthPrefixed 2": lengthPrefixed({ size: 2, max: 2_048 }),
  "lengthPrefixed 4": lengthPrefixed({ size: 4, max: 65_536 }),
};

/**
 * What a sniffer may say of another's first bytes besides `mismatch`. `match`: the earlier route wins. `more`: in an
 * earlier route, it holds the other up until more bytes or the preread timeout come, so its route belongs behind.
 */
const OVERLAPS: Readonly<Record<string, string>> = {
  "dns, asked of socks: more":
    "05 01 and 04 01 are lengths that a DNS message may have, and no third byte rules it out",
  "lengthPrefixed 2, asked of socks: more": "05 01 and 04 01 are lengths below the limit",
  "lengthPrefixed 2, asked of rdp: more": "03 00 is a length below the limit",
  "lengthPrefixed 2, asked of dns: match": "DNS over TCP is such a frame",
  "lengthPrefixed 4, asked of postgres: more": "PostgreSQL's first four bytes are a length that counts itself",
};

function found(): Set<string> {
  const overlaps = new Set<string>();
  for (const [other, { examples }] of Object.entries(sniffers)) {
    for (const [name, sniffer] of Object.entries(sniffers)) {
      for (const example of name === other ? [] : examples) {
        const { kind } = sniffer.sniff(example);
        if (kind !== "mismatch") overlaps.add(`${name}, asked of ${other}: ${kind}`);
      }
    }
  }
  return overlaps;
}

describe("sniffers asked of each other's first bytes", () => {
  test("overlap nowhere but where the protocols do", () => {
    expect([...found()].sort()).toEqual(Object.keys(OVERLAPS).sort());
  });

  test.each(["hello\n", "hello world\n", "USER bob\r\n", "get /x y\n", "\r\n", '{"a":1}\n', "0\n", "é\n", "PING\r\n"])(
    "neither claim nor hold up the line %j, but for the command of Redis",
    (text) => {
      const verdicts = Object.entries(sniffers).map(([name, sniffer]) => [name, sniffer.sniff(Buffer.from(text)).kind]);
      const undecided = verdicts.filter(([, kind]) => kind !== "mismatch");
      expect(undecided).toEqual(text === "PING\r\n" ? [["redis", "match"]] : []);
    },
  );
});
