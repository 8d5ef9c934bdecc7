import { join } from "node:path";

/** One line to paste into a shell, and what it must answer. No quote may be in a title: not every shell takes `#` for a comment. */
export interface TryIt {
  readonly title: string;
  readonly command: string;
  readonly answer: RegExp;
}

/** Two msgpack values, `{ "cmd": "login" }` and `{ "cmd": "quit" }`, as bash's printf writes them. */
const LOGIN = String.raw`printf '\x81\xa3cmd\xa5login\x81\xa3cmd\xa4quit'`;
const LINES = String.raw`printf 'good morning\nquit\n'`;
/** Says nothing at first: the server must begin. */
const LISTENER = "(sleep 2; echo Ann)";

const WELCOME = /w\s+e\s+l\s+c\s+o\s+m\s+e/; // as od shows it
const PAGE = /Hello from the web page/;
const LINE = /You said: good morning/;
const NEWS = /fresh from MQTT/;
const GREETING = /Who is there\?\s+Hello, Ann!/;

/** The lines for a gateway on this port, in clear text and through TLS. */
export function tryIt(port: number, certs: string): readonly TryIt[] {
  return [...inPlain(port), ...throughTls(port, certs), ...names(port)];
}

function inPlain(port: number): TryIt[] {
  const nc = `nc -N 127.0.0.1 ${port}`;
  return [
    { title: "a web page", command: `curl http://127.0.0.1:${port}/`, answer: PAGE },
    { title: "an MQTT broker", command: news(`-h 127.0.0.1 -p ${port}`), answer: NEWS },
    { title: "a game server that speaks msgpack", command: `${LOGIN} | ${nc} | od -c`, answer: WELCOME },
    { title: "a service of lines", command: `${LINES} | ${nc}`, answer: LINE },
    {
      title: "a server that speaks first, for clients that say nothing",
      command: `${LISTENER} | ${nc}`,
      answer: GREETING,
    },
  ];
}

/** The same services on the same port. The certificate signs itself, so clients are told to trust it. */
function throughTls(port: number, certs: string): TryIt[] {
  const trusted = quoted(join(certs, "default.crt"));
  const tls = `openssl s_client -quiet -connect 127.0.0.1:${port} -servername app.example.test 2>/dev/null`;
  return [
    { title: "the web page", command: `curl --cacert ${trusted} https://localhost:${port}/`, answer: PAGE },
    { title: "the MQTT broker", command: news(`--cafile ${trusted} -h localhost -p ${port}`), answer: NEWS },
    { title: "the game server", command: `${LOGIN} | ${tls} | od -c`, answer: WELCOME },
    { title: "the service of lines", command: `${LINES} | ${tls}`, answer: LINE },
    { title: "the server that speaks first", command: `${LISTENER} | ${tls}`, answer: GREETING },
  ].map(({ title, ...line }) => ({ title: `${title}, through TLS`, ...line }));
}

/** Which certificate is shown is a matter of the name that the client asks for. */
function names(port: number): TryIt[] {
  const asked = (name: string): string =>
    `openssl s_client -connect 127.0.0.1:${port} ${name} </dev/null 2>/dev/null | openssl x509 -noout -subject`;
  const raw = "raw.example.test";
  return [
    {
      title: "the certificate of a name",
      command: asked("-servername app.example.test"),
      answer: /app\.example\.test/,
    },
    { title: "the certificate for everybody else", command: asked("-noservername"), answer: /localhost/ },
    {
      title: "a name passed through: the certificate of the upstream",
      command: asked(`-servername ${raw}`),
      answer: /itself/,
    },
    {
      title: "and what is said there stays between the two",
      command: `curl --insecure --resolve ${raw}:${port}:127.0.0.1 https://${raw}:${port}/`,
      answer: /Only you and I/,
    },
  ];
}

function news(where: string): string {
  return `mosquitto_pub ${where} -t news -m 'fresh from MQTT' -r && mosquitto_sub ${where} -t news -C 1 -W 5`;
}

/** Prints all lines, ready to be pasted into bash as one block or one by one. */
export function printTryIt(port: number, certs: string): void {
  const lines = tryIt(port, certs).map(({ title, command }) => `# ${title}\n${command}`);
  console.log(["\n# Paste into another terminal (bash):\n", ...lines, ""].join("\n"));
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
