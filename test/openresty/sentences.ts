/** A sentence about OpenResty, and where it is proven: `file` has a test of that title, or a page says how ours differs. */
export interface Sentence {
  readonly section: string;
  readonly says: string;
  readonly file: string;
  readonly title: string;
}

type Rows = readonly (readonly [says: string, title: string])[];

const from = (section: string, file: string, rows: Rows): readonly Sentence[] =>
  rows.map(([says, title]) => ({ section, says, file, title }));

const phases = "test/e2e/openresty-phases.test.ts";
const client = "test/e2e/openresty-client-socket.test.ts";
const balancer = "test/e2e/openresty-balancer.test.ts";
const threads = "test/e2e/openresty-threads.test.ts";

/** §2: phases, exit codes, ctx, variables, output. */
const phaseModel: readonly Sentence[] = [
  ...from("2.2", phases, [
    [
      "exit is allowed in content, timer, balancer, preread",
      "is allowed in content, timer, balancer and preread, and in the phases that are ours: %s",
    ],
    ["exit: OK, ERROR, a status", "in each phase OK goes on, ERROR ends with 500, a status with that one: $name"],
    [
      "preread: exit(OK) skips the remaining handlers",
      "in preread, exit(OK) skips the remaining preread handlers and goes on to content",
    ],
    [
      "preread: any code above 0, or ERROR, ends the session",
      "in preread, any code above 0, or ERROR, ends the session; content does not run, log still runs: %i",
    ],
    ["preread: a normal return is declined", "in preread, a normal return is declined: the next handler runs"],
    [
      "content: exit(any) ends the session",
      "in content, exit(any) ends the session; output already sent stays sent: %i",
    ],
    [
      "balancer: exit(OK) continues with whatever peer is set",
      "in balancer, exit(OK) continues with whatever peer is set: the upstream's own choice",
    ],
    [
      "balancer: exit(ERROR) or a status ends the session; a thrown error: 500",
      "in balancer, exit(ERROR), a status or a thrown error ends the session with that status: %s",
    ],
    [
      "an error in preread or content: 500, log still runs",
      "an error in preread or content is logged, the session is closed with 500, the log phase still runs: %s",
    ],
    ["an error in log is logged and swallowed", "an error in a log handler is logged and swallowed"],
    ["log runs exactly once", "log runs exactly once for every accepted session (§2.2)"],
    ["log runs after peek timeout, buffer full, abort, balancer failure", "log runs whatever ends the session: %s"],
    ["ctx: one table per session", "is one table per session, shared by preread, balancer and log"],
    ["ctx: a new table replaces it", "assigning a whole new table replaces it"],
    ["ctx: never shared", "is never shared between sessions"],
    ["ctx: readable in log after exit", "stays readable in log after exit"],
    ["var: ssl_preread_*", "ngx.var has what ssl_preread tells: name, protocols, version (§2.2)"],
    ["on_abort: doing nothing, the handler continues", "doing nothing in the callback: the main handler continues"],
    [
      "on_abort: reads end with client aborted",
      "a pending and the next read end with client aborted instead of closed",
    ],
  ]),
  ...from("2.2", "test/e2e/phases.test.ts", [
    [
      "exit: no code after it has an effect, pcall does not catch it",
      "ends the session inside of try and catch, and nothing written after it arrives",
    ],
    ["exit is not allowed in log", "is not there in the log phase"],
    [
      "var: any stream variable, readonly ones throw",
      "has nginx's variables, those of set, and what hooks write; nginx's cannot be written",
    ],
    ["the order of phases", "over TLS that is passed through: the phases of its handshake do not run"],
  ]),
  ...from("2.2", "test/e2e/tls-phases.test.ts", [
    ["ssl phases: exit", '"exit(OK) continues the handshake; exit(ERROR) aborts it with a TLS alert"'],
    ["ssl phases: a thrown error aborts", '"errors abort before any certificate is chosen"'],
  ]),
  ...from("2.2", "test/e2e/peer-tls-phases.test.ts", [
    ["proxy_ssl_* sees ctx", "shares the session's ctx with the other phases"],
  ]),
  ...from("2.2", "test/e2e/hooks.test.ts", [
    ["after eof, output is refused", "after shutdown is the hook's mistake, and reading goes on"],
    ["flush always waits", "is finished before a relay goes on with the session"],
    ["output fails with timeout", "gives up on a client that takes nothing: %s"],
  ]),
  ...from("2.2", "test/stream/tasks.test.ts", [
    ["on_abort: duplicate call", "a second registration throws `duplicate call`, also when the first was called"],
  ]),
  ...from("2.2", "test/e2e/tasks.test.ts", [
    [
      "on_abort: its own thread; exit in it ends the session",
      "onAbort runs when the client leaves, and may end the session",
    ],
  ]),
  ...from("2.2", "docs/openresty-names.md", [
    ["var: writing an undeclared one throws", "any other name may be written, declared or not"],
    ["say: nil, booleans, nested arrays", "text and bytes only"],
    ["exit in log: API disabled", "`exit: not available in the log phase`"],
  ]),
];

/** §3: outgoing sockets. */
const sockets: readonly Sentence[] = [
  ...from("3.2", "test/stream/socket/receive.test.ts", [
    ["*l drops LF and all CRs", "no argument or *l: up to LF; LF and all CRs, anywhere in the line, are dropped"],
    ["EOF before LF", "EOF before LF answers closed with the partial line without CRs; the next receive just closed"],
    ["*a", "*a gives all bytes until EOF, CR kept, and after it an empty text again and again"],
    ["a number", "a number, also as text: exactly so many bytes; EOF early is closed with what came"],
    ["0", "0 is an empty text at once, without touching the socket; but closed on a closed one"],
    [
      "a timeout consumes the partial bytes",
      "a timeout gives the partial bytes and consumes them; the connection stays usable and goes on behind them",
    ],
    [
      "a reset closes the read half",
      "a reset answers connection reset by peer with what came, and closes the read half",
    ],
    ["an idle timer", "the timer is an idle timer: a trickle keeps the read alive"],
  ]),
  ...from("3.2", "test/stream/reader-chunks.test.ts", [
    ["tiny buffers change no result", "any reads over any chunks answer what the plain model answers for the whole"],
  ]),
  ...from("3.3", "test/stream/socket/receive.test.ts", [
    ["inclusive", "inclusive appends the delimiter; without it, it is consumed all the same"],
    ["iterator(n)", "with a size it gives chunks, then once neither data nor error, then starts anew"],
    ["interleaved", "several iterators and plain receives can be interleaved on one socket"],
    ["a timeout keeps the match", "a timeout keeps the match: the same iterator goes on where it was"],
    ["empty pattern", "an empty pattern answers `pattern is empty`"],
    ["option type", "an inclusive that is no boolean throws"],
  ]),
  ...from("3.3", "test/stream/delimiter.test.ts", [
    ["ambiguous prefixes", "the first occurrence is found, and until then the open bytes are known, in any chunks"],
  ]),
  ...from("3.4", "test/stream/socket/receive.test.ts", [
    ["receiveany", "what is there, at most max; the remainder stays buffered: 11 bytes, 7 and then 4"],
    ["receiveany: timeout", "a timeout is not fatal"],
  ]),
  ...from("3.5", "test/stream/socket/connect.test.ts", [
    [
      "0 or nil is the default",
      "0 or none falls back to the default, not to infinite; they apply to later operations only",
    ],
  ]),
  ...from("3.6", "test/stream/socket/receive.test.ts", [
    [
      "one reader, one writer",
      "a second reader, and a close beside a reader, is `socket busy reading`; the first is not disturbed",
    ],
    [
      "a killed waiter frees the slot",
      "a signal that ends gives up what waits, closes the socket, and what is opened later is aborted at once",
    ],
  ]),
  ...from("3.7", "test/e2e/sockets.test.ts", [
    [
      "closed when the handler ends",
      "the end of a session closes the sockets that it left open, and gives up what waits",
    ],
  ]),
  ...from("3.7", "test/stream/socket/receive.test.ts", [
    ["closed objects", "everything on a closed socket answers closed"],
  ]),
  ...from("3.8", "test/stream/socket/pool.test.ts", [
    [
      "most recently returned first, counted",
      "the same host and port gets the idle connection; getReusedTimes counts 1, 2, …; the kept socket is closed",
    ],
    [
      "pool_size without backlog",
      "without backlog the size bounds idle ones only, and the least recently used one is closed for a new one",
    ],
    ["size is fixed at creation", "the size is fixed when the pool is made; later different sizes are ignored"],
    ["backlog", "at most poolSize connections; further ones wait in line, in order, and the queue has an end"],
    ["failed connects wake the next", "failed connects do not consume a place, and wake the next in line"],
    [
      "setkeepalive refuses unread data",
      "`unread data in buffer`: bytes already in ours; when they are read it may be kept",
    ],
    ["worker exit closes silently", "while the process ends, setkeepalive silently closes"],
  ]),
  ...from("3.9", "test/stream/socket/ssl-handshake.test.ts", [
    ["false answers true", "session false answers true, and no session object"],
    ["already TLS", "a connection that speaks TLS already answers at once"],
    ["server_name is SNI", "the server name doubles as SNI; none is sent when it is omitted, nor for an IP address"],
    ["18", "verify checks the chain: `18: self-signed certificate`"],
    ["host mismatch", "verify checks the name when one is given: `certificate host mismatch`"],
  ]),
  ...from("3.10", "test/stream/socket/connect.test.ts", [
    ['send("") is 0', 'send("") is 0'],
    ["resolves with the kernel", "resolves when everything reached the kernel, in order, however much it is"],
    ["errors close the write half", "errors close the write half"],
  ]),
  ...from("3.11", "test/stream/socket/connect.test.ts", [
    ["options stay on pooled connections", "keepalive and tcp-nodelay are set, and stay on pooled connections"],
  ]),
  ...from("3.12", "test/stream/socket/udp.test.ts", [
    ["one datagram per receive", "one datagram per send, one per receive"],
    ["ICMP refused", "an ICMP message shows as `connection refused` on receive"],
    ["timeout non-fatal", "a timeout is not fatal"],
  ]),
];

/** §4: the client's socket. */
const clientSocket: readonly Sentence[] = [
  ...from("4.1", client, [
    ["a second req.socket call", "a second one is the same reader, not a duplicate call"],
    ["pending data to write", "output that is not flushed does not stand in the way"],
    ["close is refused", "no connect, no setkeepalive, and no close: the session's end closes it"],
    ["consumed in preread is gone", "data consumed in preread is gone for proxy"],
    ["unread preread bytes first", "unread preread bytes are delivered first to later readers, then live bytes"],
    ["peek starts at byte 0", "repeated peeks always start at byte 0, peek(0) is empty, and nothing is consumed"],
    ["peek: n negative or no number", "n negative or no number throws"],
    ["peek: wrong phase", "in another phase it is refused, and so is all talking"],
    ["peek after receive", "after a receive it shows what is unread"],
    ["concurrent peek", "a concurrent peek answers socket busy reading"],
    [
      "peek: 400, 200, end",
      "unhandled: buffer full ends the session with 400, no more data in time with 200, the client's end ends it: %s",
    ],
    ["shutdown: content only", "content phase only"],
    [
      "shutdown: flush first, already shutdown, reading goes on",
      "waits for what was written; afterwards writing is refused, a second one is already shutdown, and reading goes on",
    ],
    ["shutdown: lingering close", "no reset overtakes the answer when input is left unread"],
  ]),
  ...from("4.1", "test/e2e/starttls.test.ts", [
    ["serversslhandshake returns", '"returns protocol, cipher, session_reused", and the handler goes on in clear text'],
    ["second call", '"second call returns same info"'],
    ["not configured", '"ssl not configured for this server"'],
    ["timeout", '"timeout": a client that begins no TLS, or stops inside of it'],
    ["closed", '"closed": a client that leaves instead'],
  ]),
  ...from("4.1", "docs/openresty-names.md", [["UDP listener", "no UDP clients yet"]]),
];

/** §5: TLS phases. */
const tlsPhases: readonly Sentence[] = [
  ...from("5.2", "test/e2e/tls-phases.test.ts", [
    [
      "resumption may skip ssl_certificate",
      '"a session resumption skips ssl_certificate" there; here it runs for a resumed %s session too',
    ],
    [
      "clear_certs then nothing",
      '"clear_certs then setting nothing" is a store without an answer: the handshake fails for the client',
    ],
    ["a broken chain", '"a chain with a broken member" fails'],
    ["key mismatch", '"key mismatch detected"'],
    ["sleeping, sockets, Redis inside", '"sleeping / cosocket / Redis lookups inside are fine": %s'],
    ["errors abort before a certificate is chosen", '"errors abort before any certificate is chosen"'],
    [
      "proxy_protocol_addr in ssl phases",
      "sees the client of a PROXY header, the address that OpenResty's users wish for there",
    ],
    [
      "verify_client does not abort",
      '"failure does not abort the handshake, the result is in ssl.verify": %s, %s, who shows %s is %s',
    ],
    [
      "get_client_hello_ext",
      '"get_client_hello_ext" gives the bytes of an extension as they came, here and in sslCertificate',
    ],
  ]),
  ...from("5.1", "test/e2e/peer-tls-phases.test.ts", [
    ["proxysslcert overrides", '"overrides the static client certificate", and knows the peer'],
    ["set_verify_result(0)", '"set_verify_result(0) accepts" a peer that OpenSSL refuses'],
    ["plain return", '"plain return keeps OpenSSL\'s verdict"'],
    ["skip default verify", '"skip_openssl_default_verify starts from ok": verify: false'],
  ]),
];

/** §6: the balancer. */
const balancing: readonly Sentence[] = [
  ...from("6.1", balancer, [
    ["set_current_peer", "takes an IP address of either kind, a unix socket, and here a name, too: %s"],
    ["bind_to_local_addr", "bind_to_local_addr is localAddress"],
    ["set_timeouts: bad values", "set_timeouts refuses 0 and less: %s"],
    ["set_timeouts: idle is max(send, read)", "of set_timeouts, the larger one of send and read is idleTimeoutMs"],
  ]),
  ...from("6.2", balancer, [
    [
      "before every attempt; limit 5",
      "the hook runs before every attempt and is told of the last failure; limit 5, 5 attempts",
    ],
    ["exactly one attempt", "tries: 1 is exactly one attempt"],
    ["no retry once bytes flowed", "once bytes flowed there is no retry"],
    [
      "bytes are replayed; ctx survives",
      "client bytes buffered meanwhile are replayed to the peer finally connected, and ctx survives between attempts",
    ],
    [
      "upstream_addr, upstream_connect_time",
      "upstream_addr has all attempts, comma separated; upstream_connect_time is - for failed ones",
    ],
  ]),
  ...from("6.2", "test/upstream/connect.test.ts", [
    ["retry after upstream TLS failure", "goes on with the next peer when one speaks no TLS"],
  ]),
  ...from("6.2", "docs/openresty-names.md", [
    ["without set_more_tries there is one attempt", "3 unless `tries` says otherwise"],
    ["the same peer again", "no peer is tried twice in one session"],
  ]),
];

/** §8: threads, timers, semaphores, workers. */
const concurrency: readonly Sentence[] = [
  ...from("8.1", threads, [
    [
      "the handler ends when all threads have",
      "the handler ends only when entry thread and all spawned threads have ended",
    ],
    [
      "or on exit, or on the entry thread's error",
      "or on exit, or when the entry thread errors, which kills the rest: %s",
    ],
    ["an error disturbs no other", "an error in a spawned thread does not disturb others"],
    [
      "kill cancels sleep, connect, resolve",
      "a kill cancels a pending sleep, connect or resolve; a second one is already waited or killed",
    ],
    ["waiting twice", "what was waited for cannot be waited for, or killed, twice: already waited or killed"],
  ]),
  ...from("8.1", "test/stream/tasks.test.ts", [
    ["spawn runs at once", "runs the function at once until its first await, then goes on beside whoever spawned"],
    ["zombie, dead", "a task that ends is a zombie until somebody waits for it, then it is dead"],
    ["wait answers the first", "answers the first that ends, and each task once"],
    ["only the parent", "only the parent coroutine can wait on the thread"],
    ["already terminated", "answers `already waited or killed` for a dead task, `already terminated` for a zombie"],
  ]),
  ...from("8.1", "test/shared/sleep.test.ts", [["sleep(0) yields", "with 0 lets everything else run first"]]),
  ...from("8.1", "test/shared/timer.test.ts", [
    ["delay 0 is the next tick", "with delay 0 waits until what runs now has ended"],
    ["too many pending timers", "1,024 timers may wait; one more is answered with `too many pending timers`"],
    [
      "above max running the callback is dropped",
      "above 256 running callbacks the next is dropped, counted and told of; `every` tries again",
    ],
    ["premature on stop, 100 callbacks", "100 pending timers are called at once, with premature true, and never again"],
    [
      "then delays are refused, 0 is taken",
      "delays are refused with `process exiting`, but 0 is still taken, and is not premature",
    ],
  ]),
  ...from("8.1", "docs/openresty-names.md", [
    ["coroutines are scheduler aware", "generators"],
    ["pipe, re, encode", "`node:child_process`"],
  ]),
];

/** Everything that was read in OpenResty's sources and tests, and that we promise. */
export const sentences: readonly Sentence[] = [
  ...phaseModel,
  ...sockets,
  ...clientSocket,
  ...tlsPhases,
  ...balancing,
  ...concurrency,
];
