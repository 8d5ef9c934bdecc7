import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { describe, expect, test } from "vitest";
import * as codecs from "../../src/codecs/index.ts";
import * as api from "../../src/index.ts";

// docs/openresty-names.md: what stands in its second column is there, and what is "not yet" there is not.

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const page = read("docs/openresty-names.md");

interface Row {
  readonly theirs: string;
  readonly ours: string;
  readonly note: string;
}

const rows: readonly Row[] = page
  .split("\n")
  .filter((line) => /^\| [`\w]/.test(line) && !line.startsWith("| OpenResty"))
  .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
  .map(([, theirs = "", ours = "", note = ""]) => ({ theirs, ours, note }));

const spans = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text);

/** Names of what an interface or class of a source file has. */
function membersOf(path: string, name: string): readonly string[] {
  const [, body = ""] =
    new RegExp(`(?:interface|class) ${name}\\b[^{]*\\{\\n(.*?)\\n\\}`, "s").exec(read(`src/${path}`)) ?? [];
  return [...body.matchAll(/^ {2}(?:readonly |get |set |async )*(\w+)\??[<(:]/gm)].map(([, member = ""]) => member);
}

const views = [...read("src/stream/session.ts").matchAll(/interface (\w*Session|Talk)\b/g)].map(
  ([, name = ""]) => name,
);
const [, variables = ""] = /const builtins[^{]*\{\n(.*?)\n\};/s.exec(read("src/stream/vars.ts")) ?? [];

/** What there is behind each root, longest root first. */
const members: Readonly<Record<string, readonly string[]>> = {
  "session.reader": membersOf("stream/reader.ts", "Reader"),
  "session.ssl": membersOf("upstream/session-facts.ts", "SessionSsl"),
  "session.hello": membersOf("codecs/tls/client-hello.ts", "ClientHello"),
  "session.vars": [...variables.matchAll(/^ {2}(\w+):/gm)].map(([, name = ""]) => name),
  session: [
    ...views.flatMap((name) => membersOf("stream/session.ts", name)),
    ...membersOf("upstream/session-facts.ts", "SessionFacts"),
  ],
  worker: membersOf("stream/worker-context.ts", "WorkerContext"),
  socket: membersOf("stream/socket/socket.ts", "StreamSocket"),
  "udp()": membersOf("stream/socket/udp.ts", "UdpSocket"),
  dict: membersOf("shared/dict/shared-dict.ts", "SharedDict"),
  task: membersOf("stream/task.ts", "Task"),
  timer: membersOf("shared/timer.ts", "Timers"),
};

/** Options of what is called with them. */
const options: Readonly<Record<string, readonly string[]>> = {
  connect: [
    ...membersOf("stream/socket/connect-settings.ts", "ConnectOptions"),
    ...membersOf("stream/socket/timeouts.ts", "Timeouts"),
  ],
  "socket.sslHandshake": membersOf("stream/socket/ssl-settings.ts", "SslHandshakeOptions"),
  udp: membersOf("stream/socket/udp.ts", "UdpOptions"),
};

/** Keys of the configuration; test/worker/documentation.test.ts proves that the page has them all, and no other. */
function isKey(path: string): boolean {
  const cut = path.lastIndexOf(".");
  const [parent, key] = [path.slice(0, Math.max(cut, 0)), path.slice(cut + 1)];
  const titles = parent === "phases" ? ["phases", "servers.<name>.phases"] : [parent || "Gateway"];
  const sections = read("docs/config.md").split(/^#+ /m);
  return sections.some(
    (text) => titles.includes((text.split("\n")[0] ?? "").replaceAll("`", "")) && text.includes(`\n| \`${key}\` |`),
  );
}

/** Is there something of that name, as the page writes it? */
function exists(span: string): boolean {
  const [, name = span, given] = /^(.+?)\((?:\{ ([^}]+) \})?\)$/.exec(span) ?? [];
  if (given) return exists(`${name}()`) && given.split(", ").every((option) => options[name]?.includes(option));
  if (name.startsWith("restyconf ")) return read("src/program.ts").includes(`command("${name.slice(10)}"`);
  if (name.startsWith("node:")) return builtinModules.includes(name.slice(5));
  if (/^(?:servers|upstreams|phases|log)\.|^shared$/.test(name)) return isKey(name);
  const root = Object.keys(members).find((one) => name.startsWith(`${one}.`));
  if (root) return members[root]?.includes(name.slice(root.length + 1)) ?? false;
  return name in api || name in codecs || isGlobal(name);
}

/** Something of JavaScript's or Node's own. */
function isGlobal(name: string): boolean {
  const [first = "", ...rest] = name.split(".");
  let value: unknown = Reflect.get(globalThis, first);
  for (const key of rest)
    value = typeof value === "object" || typeof value === "function" ? Reflect.get(value ?? {}, key) : undefined;
  return value !== undefined;
}

describe("docs/openresty-names.md", () => {
  const there = rows.filter(({ ours }) => !ours.startsWith("no"));
  const missing = rows.filter(({ ours }) => ours.startsWith("not yet"));

  test.each(there)("$theirs is $ours", ({ ours }) => {
    expect(spans(ours).length).toBeGreaterThan(0);
    for (const span of spans(ours)) expect(exists(span), span).toBe(true);
  });

  test.each(missing)("$theirs is $ours, or the page has to be changed", ({ ours }) => {
    expect(spans(ours).length).toBeGreaterThan(0);
    for (const span of spans(ours)) expect(exists(span), span).toBe(false);
  });

  test("each row says what is ours, that there is nothing, or that it will come", () => {
    const plain = /^(?:`[^`]+`(?:, `[^`]+`)*|no|not yet: `[^`]+`(?:, `[^`]+`)*)$/;
    for (const { theirs, ours } of rows) expect(ours, theirs).toMatch(plain);
    expect(rows.length).toBeGreaterThan(120);
  });

  test("a name that nobody has is noticed", () => {
    const wrong = [
      "session.exitt()",
      "session.reader.peekk",
      "connect({ poolsize })",
      "servers.<name>.lissten",
      "restyconf dance",
      "node:dance",
      "nothing()",
      "worker.idd",
      "session.vars.remote_adr",
    ];
    for (const span of wrong) expect(exists(span), span).toBe(false);
  });

  const names = `
    init_by_lua init_worker_by_lua exit_worker_by_lua ssl_client_hello_by_lua ssl_certificate_by_lua preread_by_lua content_by_lua balancer_by_lua log_by_lua
    proxy_ssl_certificate_by_lua proxy_ssl_verify_by_lua lua_load_resty_core lua_code_cache lua_regex_cache_max_entries lua_package_path lua_package_cpath lua_shared_dict
    lua_socket_connect_timeout lua_socket_send_timeout lua_socket_read_timeout lua_socket_send_lowat lua_socket_buffer_size lua_socket_pool_size lua_socket_keepalive_timeout
    lua_socket_log_errors lua_ssl_ciphers lua_ssl_crl lua_ssl_protocols lua_ssl_certificate lua_ssl_certificate_key lua_ssl_trusted_certificate lua_ssl_verify_depth lua_ssl_key_log
    lua_ssl_conf_command lua_check_client_abort lua_max_pending_timers lua_max_running_timers lua_sa_restart lua_add_variable lua_capture_error_log preread_by_lua_no_postpone
    lua_upstream_skip_openssl_default_verify lua_malloc_trim
    ngx.var ngx.ctx ngx.req.socket ngx.print ngx.say ngx.log ngx.flush ngx.exit ngx.eof ngx.sleep ngx.escape_uri ngx.unescape_uri ngx.encode_args ngx.decode_args ngx.encode_base64
    ngx.decode_base64 ngx.crc32_short ngx.crc32_long ngx.hmac_sha1 ngx.md5 ngx.md5_bin ngx.sha1_bin ngx.quote_sql_str ngx.today ngx.time ngx.now ngx.update_time ngx.localtime ngx.utctime
    ngx.re.match ngx.re.find ngx.re.gmatch ngx.re.sub ngx.re.gsub ngx.shared.DICT ngx.socket.tcp ngx.socket.stream ngx.socket.udp ngx.socket.connect ngx.get_phase ngx.thread.spawn
    ngx.thread.wait ngx.thread.kill ngx.on_abort ngx.timer.at ngx.timer.every ngx.timer.running_count ngx.timer.pending_count ngx.config.debug ngx.config.subsystem ngx.config.prefix
    ngx.config.nginx_version ngx.config.nginx_configure ngx.config.ngx_lua_version ngx.worker.exiting ngx.worker.pid ngx.worker.count ngx.worker.id ngx.OK ngx.ERROR ngx.null
    coroutine.create coroutine.resume coroutine.yield coroutine.wrap coroutine.running coroutine.status ngx.semaphore ngx.pipe ngx.errlog ngx.ocsp ngx.base64 ngx.re.split
    receive receiveany receiveuntil peek send settimeout settimeouts shutdown setoption getoption setkeepalive getreusedtimes sslhandshake setclientcert settrustedstore getsslsession serversslhandshake
    setpeername bind getfd getsslpointer getsslctx settransparent close
    get_stale safe_set safe_add incr lpush rpush lpop rpop llen ttl expire flush_all flush_expired get_keys capacity free_space
    set_current_peer bind_to_local_addr set_more_tries get_last_failure set_timeouts enable_keepalive recreate_request set_upstream_tls
    get_client_hello_server_name get_supported_versions get_client_hello_ciphers get_client_hello_ext_present get_client_hello_ext set_protocols clear_certs set_der_cert set_der_priv_key
    set_cert set_priv_key parse_pem_cert parse_pem_priv_key parse_der_cert parse_der_priv_key cert_pem_to_der priv_key_pem_to_der verify_client server_name server_port raw_server_addr raw_client_addr
    get_tls1_version get_tls1_version_str get_client_random get_server_random get_session_master_key export_keying_material get_req_shared_ssl_ciphers get_req_ssl_pointer
    get_upstream_ssl_pointer get_verify_result get_verify_cert set_verify_result get_ocsp_responder_from_der_chain create_ocsp_request validate_ocsp_response set_ocsp_status_resp
  `;

  test.each(names.trim().split(/\s+/))("has %s", (name) => {
    const known = rows.flatMap(({ theirs }) => spans(theirs));
    const isIt = new RegExp(`(?:^|[.:])${name.replaceAll(".", "\\.")}(?:$|[^\\w.]|\\.NAME)`);
    expect(
      known.some((span) => isIt.test(span)),
      name,
    ).toBe(true);
  });
});
