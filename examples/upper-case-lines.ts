// Upper-case lines: a filter that sees each line of a client, and sends another in its place.
//
// In two terminals:
//   $ node examples/stand-in.mjs echo 7001
//   $ npm start -- --config examples/upper-case-lines.ts
//
// Try: the server gets, and sends back, what the filter has made of it.
//   $ printf 'hello\nworld' | nc -N 127.0.0.1 5050
//   echo
//   HELLO
//   WORLD
import { defineGateway, frames, otherwise, proxy } from "restyconf";
import { line } from "restyconf/codecs";

const { LISTEN = "127.0.0.1:5050", ECHO = "127.0.0.1:7001" } = process.env;

export default defineGateway({
  upstreams: { echo: { peers: [ECHO] } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [otherwise(proxy("echo"))],
      phases: {
        bodyFilter: {
          client: frames(line(), (text) => text.toUpperCase(), {
            end: (rest) => rest.toString().toUpperCase(), // the last line, if nothing ends it
          }),
        },
      },
    },
  },
});
