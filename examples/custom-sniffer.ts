// A sniffer of your own: a pure function over the first bytes that answers match, mismatch, or more. Here: electricity
// meters, which begin with 0x7e, a version, and a device id of four bytes, followed by their checksum.
//
// In two terminals:
//   $ node examples/stand-in.mjs meters 7001
//   $ npm start -- --config examples/custom-sniffer.ts
//
// Try: device 0000002a, whose bytes add up to 2a; then the same with a wrong checksum: an unknown protocol.
//   $ printf '\x7e\x01\x00\x00\x00\x2a\x2a reading' | nc -N 127.0.0.1 5050 | head -n 1
//   meters
//   $ printf '\x7e\x01\x00\x00\x00\x2a\x2b reading' | nc -N 127.0.0.1 5050 | wc -c
//   0
import { defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { match, mismatch, more, type Sniffer } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", METERS = "127.0.0.1:7001" } = process.env;

const HEADER_BYTES = 7;

/** It sees all bytes from the first one, each time more of them, and must not take a verdict back. */
function meter(): Sniffer<"meter", { device: string }> {
  return {
    name: "meter",
    examples: [Buffer.from([0x7e, 1, 0, 0, 0, 0x2a, 0x2a])], // to warn of routes that accept the same bytes
    sniff(head) {
      if (head.length > 0 && head[0] !== 0x7e) return mismatch; // as early as possible: later routes are waiting
      if (head.length < HEADER_BYTES) return more(HEADER_BYTES);
      const device = head.subarray(2, 6);
      const sum = device.reduce((total, byte) => (total + byte) & 0xff, 0);
      return sum === head[6] ? match({ device: Buffer.from(device).toString("hex") }) : mismatch;
    },
  };
}

export default defineGateway({
  upstreams: { meters: { peers: [METERS] } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [on(meter(), proxy("meters")), otherwise(reject("not a meter"))],
      phases: {
        // What the sniffer learned is `session.info`.
        log: (session) => console.log(session.protocol, session.info, session.bytesReceived),
      },
    },
  },
});
