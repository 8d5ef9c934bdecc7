/**
 * Keeps a pure decoder's answer with the very bytes that it was asked about, and lets it go with them: fifty routes of one
 * protocol then cost one look at a client's bytes, and fifty tests of a field.
 */
export function perBytes<Answer extends object>(decode: (bytes: Uint8Array) => Answer): (bytes: Uint8Array) => Answer {
  const answers = new WeakMap<Uint8Array, Answer>();
  return (bytes) => {
    const known = answers.get(bytes);
    if (known) return known;
    const answer = decode(bytes);
    answers.set(bytes, answer);
    return answer;
  };
}
