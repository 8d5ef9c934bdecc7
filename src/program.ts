import { readFileSync } from "node:fs";
import process from "node:process";
import { Command, CommanderError } from "commander";
import { AskError } from "./admin/ask.ts";
import { ban, change, end, kill, showBans, showGateways, showSessions, showStatus, unban } from "./admin/commands.ts";
import { openControl } from "./admin/control.ts";
import { durationMs } from "./admin/duration.ts";
import { reach } from "./admin/reach.ts";
import { messageOf } from "./errors.ts";
import type { GatewayConfig } from "./gateway.ts";
import { WHOM_WORDS, whomOf } from "./stream/bans/whom.ts";
import { BindError } from "./stream/port.ts";
import { ConfigError, UsageError } from "./worker/config/config-error.ts";
import { fileFaults } from "./worker/config/file-faults.ts";
import { findConfig, type Loaded, loadConfig } from "./worker/config/load-config.ts";
import { nodeNotice, noticesOf } from "./worker/config/notices.ts";
import { shortPath } from "./worker/config/source-place.ts";
import { validate } from "./worker/config/validate.ts";
import { explain } from "./worker/explain/explain.ts";
import { bytesOfHex, bytesOfText } from "./worker/explain/explain-input.ts";
import { Lifetime } from "./worker/lifetime.ts";
import { loadGateway } from "./worker/load-gateway.ts";
import { createLog, type OpenLog } from "./worker/log.ts";
import { keepPidFile } from "./worker/pid-file.ts";
import { MAX_DRAIN_MS } from "./worker/process-end.ts";
import type { Requests } from "./worker/requests.ts";
import { runGateway, type Started } from "./worker/run-gateway.ts";
import { leaveOwn, linkControl } from "./worker/state-dir.ts";

/** Exit codes, as the documentation promises them. */
const FINE = 0;
const WRONG_CONFIG = 1;
const WRONG_USAGE = 2;
const CANNOT_BIND = 3;

interface ConfigOption {
  readonly config?: string;
}

interface ReloadOptions extends ConfigOption {
  readonly canary?: string;
}

interface BanOptions extends ConfigOption {
  readonly for?: string;
  readonly reason?: string;
}

interface DrainOptions extends ConfigOption {
  readonly over: string;
}

interface ExplainOptions extends ConfigOption {
  readonly hex?: string;
  readonly text?: string;
  readonly server?: string;
}

/** More first bytes than any preread buffer holds. */
const MAX_STDIN_BYTES = 1024 * 1024;

async function start(given: string | undefined, options: ConfigOption, requests?: Requests): Promise<void> {
  const lifetime = new Lifetime(requests);
  const gateway = await loadGateway(pathOf(given, options));
  const { config, loaded } = gateway;
  const log = createLog(config.log, loaded);
  const notices = [nodeNotice(process.versions.node, new Date()), ...noticesOf(config)];
  for (const notice of notices) if (notice !== undefined) log.warn(notice);
  const started = await runGateway(gateway, log, lifetime);
  await listenForCommands(started, log);
  for (const { address, server } of started.operator.gateway.listening) print(`listening ${address} ${server}`);
}

/** Without its folder a gateway serves all the same: signals reach it. */
async function listenForCommands(started: Started, log: OpenLog): Promise<void> {
  const { dirs } = started;
  if (dirs.folder === undefined) return;
  try {
    const control = await openControl(dirs.folder, started, version());
    process.on("exit", () => control.close());
    linkControl(dirs);
  } catch (cause) {
    log.warn("commands cannot reach this gateway, signals can", { reason: messageOf(cause) });
    if (cause instanceof BindError) return; // another gateway's folder
  }
  keepPidFile(dirs.folder);
  process.on("exit", () => leaveOwn(dirs));
}

/** What a command that speaks to a running gateway is called with. */
type Operating<Options extends ConfigOption> = (given: string | undefined, options: Options) => Promise<void>;

/** Where the gateway that was started with a configuration is reached. */
function folderOf(given: string | undefined, options: ConfigOption): Promise<string> {
  return reach(findConfig(pathOf(given, options)));
}

/** Runs a command that asks a running gateway, and prints its answer. */
function asking(
  command: (folder: string, options: ReloadOptions) => Promise<readonly string[]>,
): Operating<ReloadOptions> {
  return async (given, options) => {
    for (const line of await command(await folderOf(given, options), options)) print(line);
    await leave(FINE); // whatever the configuration's code has opened
  };
}

async function drain(given: string | undefined, options: DrainOptions): Promise<void> {
  const seconds = Number(options.over);
  if (!(seconds > 0 && seconds * 1_000 <= MAX_DRAIN_MS))
    throw new UsageError(`--over: expected seconds, ${MAX_DRAIN_MS / 1_000} at most, got ${options.over}`);
  await end(await folderOf(given, options), `POST /drain?overMs=${seconds * 1_000}`, print);
  await leave(FINE);
}

function ending(question: string): Operating<ConfigOption> {
  return async (given, options) => {
    await end(await folderOf(given, options), question, print);
    await leave(FINE);
  };
}

function reload(folder: string, { canary }: ReloadOptions): Promise<readonly string[]> {
  if (canary === undefined) return change(folder, "POST /reload", "reloaded");
  const percent = Number(canary.replace(/%$/, ""));
  if (!(percent > 0 && percent < 100)) throw new UsageError(`--canary: expected a share like 10%, got ${canary}`);
  return change(folder, `POST /reload?share=${percent / 100}`, `${percent}% of the new sessions try it out`);
}

function banning(whom: string, given: string | undefined, options: BanOptions): Promise<void> {
  const { for: time, reason } = options;
  const ttlMs = time === undefined ? undefined : durationMs(time);
  if (time !== undefined && ttlMs === undefined) throw new UsageError(`--for: expected a time like 10m, got ${time}`);
  return asking((folder) => ban(folder, named(whom), { ttlMs, reason }))(given, options);
}

function unbanning(whom: string, given: string | undefined, options: ConfigOption): Promise<void> {
  return asking((folder) => unban(folder, named(whom)))(given, options);
}

/** In the one form that a ban has. */
function named(whom: string): string {
  const read = whomOf(whom);
  if (read) return read.text;
  throw new UsageError(`expected ${WHOM_WORDS}, got ${whom}`);
}

async function check(given: string | undefined, options: ConfigOption): Promise<void> {
  const loaded = await loadConfig(pathOf(given, options));
  const config = validate(loaded);
  const warn = (text: string): void => complain(`warning: ${text}`);
  const faults = await fileFaults(config, { baseDir: loaded.baseDir, warn });
  if (config.phases?.init) for (const fault of faults) warn(`${fault} (unless phases.init makes it)`);
  else refuse(faults, loaded);
  for (const notice of noticesOf(config)) warn(notice);
  print(`ok ${shortPath(loaded.path)}: ${summaryOf(config)}`);
  await leave(FINE); // whatever the configuration's code has opened
}

async function explainBytes(given: string | undefined, options: ExplainOptions): Promise<void> {
  const typed = typedBytes(options);
  const config = validate(await loadConfig(pathOf(given, options)));
  for (const line of explain(config, typed ?? (await readStdin()), options.server)) print(line);
  await leave(FINE);
}

function typedBytes({ hex, text }: ExplainOptions): Uint8Array | undefined {
  if (hex !== undefined && text !== undefined) throw new UsageError("--hex and --text exclude each other");
  if (hex !== undefined) return bytesOfHex(hex);
  return text === undefined ? undefined : bytesOfText(text);
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk);
    chunks.push(bytes);
    size += bytes.length;
    if (size >= MAX_STDIN_BYTES) break;
  }
  return Buffer.concat(chunks);
}

function pathOf(given: string | undefined, { config }: ConfigOption): string | undefined {
  if (given === undefined || config === undefined) return given ?? config;
  throw new UsageError("expected one configuration: as an argument or with --config");
}

function refuse(faults: readonly string[], { path }: Loaded): void {
  if (faults.length > 0) throw new ConfigError(faults.map((fault) => `${shortPath(path)}: ${fault}`));
}

function summaryOf({ servers, upstreams = {} }: GatewayConfig): string {
  const routes = Object.values(servers).reduce((sum, server) => sum + server.routes.length, 0);
  const counts = { server: Object.keys(servers).length, route: routes, upstream: Object.keys(upstreams).length };
  return Object.entries(counts)
    .map(([thing, count]) => `${count} ${thing}${count === 1 ? "" : "s"}`)
    .join(", ");
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Ends when all that was said is with whoever reads it: a pipe takes 64 KiB at once, and a list may be longer. */
async function leave(code: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr])
    await new Promise<void>((done) => stream.write("", () => done()));
  process.exit(code);
}

function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Says what went wrong, and with which code to end. */
function report(cause: unknown): number {
  if (cause instanceof CommanderError) return cause.exitCode === 0 ? FINE : WRONG_USAGE; // it has spoken already
  if (cause instanceof ConfigError) {
    for (const line of cause.lines) complain(line);
    return WRONG_CONFIG;
  }
  if (cause instanceof AskError) {
    complain(`restyconf: ${cause.message}`);
    return WRONG_CONFIG;
  }
  if (cause instanceof UsageError || cause instanceof BindError) {
    complain(`restyconf: ${cause.message}`);
    return cause instanceof BindError ? CANNOT_BIND : WRONG_USAGE;
  }
  complain(`restyconf: ${cause instanceof Error ? (cause.stack ?? cause.message) : messageOf(cause)}`); // a hook's, or a bug
  return WRONG_CONFIG;
}

function version(): string {
  const { version }: { version: string } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  return version;
}

function program(requests: Requests | undefined): Command {
  const root = new Command("restyconf")
    .description("A programmable TCP/TLS gateway: one port in front of many protocols.")
    .version(version())
    .exitOverride();
  const command = (name: string, what: string): Command =>
    root
      .command(name)
      .description(what)
      .argument("[config]", "a .ts, .mts, .js, .mjs, .json or .yaml file (default: restyconf.config.* in this folder)")
      .option("--config <path>", "the same as an option");
  command("start", "serve in the foreground").action((given: string | undefined, options: ConfigOption) =>
    start(given, options, requests),
  );
  command("check", "say what is wrong in a configuration, and open nothing").action(check);
  command("explain", "say what each sniffer makes of a client's first bytes, and which route they take")
    .option("--hex <digits>", "the bytes in hex")
    .option("--text <text>", "the bytes as text with \\r, \\n and \\x16 (default: standard input)")
    .option("--server <name>", "ask this server only")
    .action(explainBytes);
  addOperating(root);
  return root;
}

/** Commands for a gateway that runs; the configuration tells which one. */
function addOperating(root: Command): void {
  const command = (name: string, what: string, ...first: [name: string, what: string][]): Command => {
    const made = root.command(name).description(what);
    for (const [argument, meaning] of first) made.argument(argument, meaning);
    return made
      .argument("[config]", "what it was started with (default: restyconf.config.* in this folder)")
      .option("--config <path>", "the same as an option");
  };
  command("status", "say what a running gateway does").action(asking(showStatus));
  command("sessions", "list the sessions that live").action(asking(showSessions));
  command("kill", "end one session", ["<session>", "its id"]).action(
    (session: string, given: string | undefined, options: ConfigOption) =>
      asking((folder) => kill(folder, session))(given, options),
  );
  command("ban", "turn somebody away, at all gateways", ["<whom>", WHOM_WORDS])
    .option("--for <time>", "like 90s, 10m, 2h or 30d (default: for good)")
    .option("--reason <text>", "for the log and the list")
    .action(banning);
  command("unban", "take a ban back", ["<whom>", "as the list has it"]).action(unbanning);
  command("bans", "list who is banned").action(asking(showBans));
  command("gateways", "list the workers of all gateways").action(asking(showGateways));
  command("reload", "read the configuration again")
    .option("--canary <share>", "for a share of the new sessions only, like 10%")
    .action(asking(reload));
  command("promote", "give all new sessions what is tried out by reload --canary").action(
    asking((folder) => change(folder, "POST /promote", "promoted")),
  );
  command("rollback", "drop what is tried out, or go back to the configuration before").action(
    asking((folder) => change(folder, "POST /rollback", "rolled back")),
  );
  command("replace", "put new processes in the place of the workers").action(
    asking((folder) => change(folder, "POST /replace", "replaced")),
  );
  command("stop", "end at once").action(ending("POST /stop"));
  command("quit", "end when the sessions have ended by themselves").action(ending("POST /quit"));
  command("drain", "end the sessions one after the other, then the gateway")
    .option("--over <seconds>", "in how long", "60")
    .action(drain);
}

/**
 * Does what a command line asks for, here `node`, the program, and words; ends the process with its exit code when that is done or
 * fails. `requests`: what is heard already for a gateway that is to start.
 */
export async function runProgram(commandLine: readonly string[], requests: Requests | undefined): Promise<void> {
  process.stdout.on("error", () => {}); // whoever read it has gone
  try {
    await program(requests).parseAsync(commandLine);
  } catch (cause) {
    await leave(report(cause));
  }
}
