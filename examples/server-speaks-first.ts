// A server that speaks first: mail, FTP and MySQL clients say nothing until they are greeted, so there is nothing to
// recognise them by. The silence itself is the sign.
//
// In two terminals:
//   $ node examples/stand-in.mjs '220 mail.example.test' 7001
//   $ npm start -- --config examples/server-speaks-first.ts
//
// Try: a client that listens, and one that speaks at once. Both are on the same port.
//   $ (sleep 4; echo QUIT) | nc -N 127.0.0.1 5050
//   220 mail.example.test
//   QUIT
//   $ curl http://127.0.0.1:5050/
//   This is the web.
//
// Where every client of a port waits to be greeted, say `silent(0, …)` or have `otherwise` alone: then nobody waits.
import { content, defineGateway, on, otherwise, proxy, reject, silent } from "restyconf";
import { http } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", MAIL = "127.0.0.1:7001" } = process.env;

export default defineGateway({
  upstreams: { mail: { peers: [MAIL] } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [
        on(
          http(),
          content(async (session) => {
            await session.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nThis is the web.\n");
          }),
        ),
        silent(1_000, proxy("mail")), // long enough for slow clients that speak first, short enough to wait
        otherwise(reject("neither web nor mail")),
      ],
    },
  },
});
