// A filter of response heads: pages of one site may use an HTTP service that knows nothing of other sites (CORS). The filter
// runs once per response, however many there are on a connection; bodies pass untouched.
//
// In two terminals:
//   $ node examples/stand-in.mjs scores 7001 --http
//   $ npm start -- --config examples/cors.ts
//
// Try: what a browser sends for a page of the site, its question before a request with a body of its own, and a stranger's.
//   $ curl -s -i -H 'Origin: https://app.example' http://127.0.0.1:5050/top
//   HTTP/1.1 200 OK
//   Access-Control-Allow-Origin: https://app.example
//   Vary: Origin
//   scores: GET /top
//   $ curl -s -i -X OPTIONS -H 'Origin: https://app.example' -H 'Access-Control-Request-Method: PUT' http://127.0.0.1:5050/top
//   HTTP/1.1 200 CORS
//   Access-Control-Allow-Origin: https://app.example
//   Vary: Origin
//   Access-Control-Allow-Methods: GET, PUT
//   $ curl -s -i -H 'Origin: https://stranger.example' http://127.0.0.1:5050/top | grep Access-Control | wc -l
//   0
import { defineGateway, type HttpRequest, type HttpResponse, on, otherwise, proxy, reject } from "restyconf";
import { http } from "restyconf/preread";

const { LISTEN = "127.0.0.1:5050", SCORES = "127.0.0.1:7001" } = process.env;

const SITES = new Set(["https://app.example", "https://admin.example"]);

function allow(request: HttpRequest, response: HttpResponse): void {
  const { headers } = response;
  headers.delete("X-Powered-By");
  const origin = request.headers.get("Origin");
  if (origin === undefined || !SITES.has(origin)) return;
  headers.set("Access-Control-Allow-Origin", origin);
  headers.add("Vary", "Origin"); // caches must not give this answer to another site
  if (request.method !== "OPTIONS" || !request.headers.has("Access-Control-Request-Method")) return;
  headers.set("Access-Control-Allow-Methods", "GET, PUT");
  if (response.status === 405) {
    response.status = 200; // the service does not know the method, but a browser wants a success
    response.reason = "CORS";
  }
}

export default defineGateway({
  upstreams: { scores: { peers: [SCORES] } },
  servers: {
    edge: {
      listen: LISTEN,
      routes: [on(http(), proxy("scores")), otherwise(reject("not HTTP"))],
      phases: {
        // There is a response where the protocol is HTTP, as the routes see to here.
        headerFilter: (_session, { request, response }) => {
          if (response) allow(request, response);
        },
      },
    },
  },
});
