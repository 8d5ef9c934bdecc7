import { expect, test } from "vitest";
import { crc32c } from "../../../src/codecs/proxy-protocol/crc32c.ts";

const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);

test.each([
  ["nothing", new Uint8Array(), 0],
  ["the check string 123456789", Buffer.from("123456789"), 0xe3069283],
  ["32 zeros (RFC 3720 B.4)", new Uint8Array(32), 0x8a9136aa],
  ["32 ones (RFC 3720 B.4)", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["32 ascending bytes (RFC 3720 B.4)", ascending, 0x46dd794e],
  ["32 descending bytes (RFC 3720 B.4)", ascending.toReversed(), 0x113fdb5c],
])("the checksum of %s is the published one", (_, bytes, sum) => {
  expect(crc32c(bytes)).toBe(sum);
});
