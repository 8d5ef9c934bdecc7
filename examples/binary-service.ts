// A binary service: the gateway itself answers sensors. Each message is a frame: two bytes of length, then a struct.
//
// In a terminal:
//   $ npm start -- --config examples/binary-service.ts
//
// Try: sensor 7 reports 20.5 and 21.5 degrees; each is answered with the count, and the mean. Then a frame that is too short.
//   $ printf '\x00\x08\x00\x00\x00\x07\x41\xa4\x00\x00\x00\x08\x00\x00\x00\x07\x41\xac\x00\x00' | nc -N 127.0.0.1 5050 | od -An -tx1
//   00 06 00 01 41 a4 00 00 00 06 00 02 41 a8 00 00
//   $ printf '\x00\x04\x00\x00\x00\x07' | nc -N 127.0.0.1 5050 | od -An -tx1
import { content, defineGateway, on, otherwise, reject } from "restyconf";
import * as codecs from "restyconf/codecs";
import { lengthPrefixed } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050" } = process.env;

// Python's letters: big-endian, 32 bits without sign, a float; and 16 bits, a float. The compiler knows the types of the fields.
const reading = codecs.lengthPrefixed({ size: 2, inner: codecs.struct(">If", ["sensor", "celsius"]) });
const summary = codecs.lengthPrefixed({ size: 2, inner: codecs.struct(">Hf", ["count", "mean"]) });

const thermometer = content(async (session) => {
  const { reader } = session;
  let sum = 0;
  for (let count = 1; count <= 65_535; count++) {
    const { value } = await reader.receiveFrame(reading); // bytes that are no frame end the session with RC_FRAME
    if (value === undefined) return; // closed, or silent for too long
    sum += value.celsius;
    await session.write(summary.encode({ count, mean: sum / count }));
  }
});

export default defineGateway({
  servers: {
    edge: {
      listen: LISTEN,
      routes: [on(lengthPrefixed({ size: 2, max: 64 }), thermometer), otherwise(reject("no sensor"))],
    },
  },
});
