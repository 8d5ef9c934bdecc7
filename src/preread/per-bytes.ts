/**
 * Remembers a pure decoder's answer about the bytes that it was asked about last: fifty routes of one protocol, which are
 * asked about one head in one go, then cost one look at it. A head whose bytes change must be another object. One head is
 * kept until the next one comes; a table of all of them would cost the garbage collector more than most decoders cost.
 */
export function perBytes<Answer extends object>(decode: (bytes: Uint8Array) => Answer): (bytes: Uint8Array) => Answer {
  let last: Uint8Array | undefined;
  let answer: Answer | undefined;
  return (bytes) => {
    if (bytes !== last || answer === undefined) {
      answer = decode(bytes);
      last = bytes;
    }
    return answer;
  };
}
