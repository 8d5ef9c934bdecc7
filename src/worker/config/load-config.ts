import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { messageOf } from "../../errors.ts";
import { type Exports, importFresh, jsonFaults, type Snapshot } from "./bundle.ts";
import { ConfigError, UsageError } from "./config-error.ts";
import { type Data, type Positions, parseJson, parseYaml } from "./data/parse.ts";
import { isRecord } from "./schema/schema.ts";
import { shortPath } from "./source-place.ts";

/** A configuration as it was written, not yet checked. */
export interface Loaded {
  readonly config: unknown;
  /** Absolute. */
  readonly path: string;
  /** The folder of the file: relative paths in the configuration start here. */
  readonly baseDir: string;
  /** Only of JSON and YAML. */
  readonly data?: DataFile;
}

/** What is known besides of a configuration that is data. */
export interface DataFile {
  readonly positions: Positions;
  /** The modules that `phases` name, by the text that names them, or why they cannot be loaded. */
  readonly modules: ReadonlyMap<string, Exports | ConfigError>;
}

/** What the modules of one configuration are read with. */
interface Reading {
  readonly snapshot: Snapshot;
  readonly unless: AbortSignal | undefined;
}

/** Without a path, the first of these in the working directory. */
const DEFAULT_NAMES = ["ts", "mts", "js", "mjs", "json", "yaml", "yml"].map((ending) => `restyconf.config.${ending}`);

/** A larger file is not a configuration: somebody named the wrong one. */
const MAX_DATA_BYTES = 1024 * 1024;

/**
 * Reads a configuration: TypeScript and JavaScript are run, JSON and YAML are parsed, and the hooks they name are run. What is in
 * the snapshot is not read again; what is read is put there. Nothing of it is run once `unless` has aborted.
 * @throws UsageError where there is no such file, ConfigError where it cannot be read as what it is, and the reason of `unless`
 */
export async function loadConfig(
  given: string | undefined,
  folder: string = process.cwd(),
  snapshot: Snapshot = new Map(),
  unless?: AbortSignal,
): Promise<Loaded> {
  const path = findConfig(given, folder);
  const baseDir = dirname(path);
  switch (extname(path)) {
    case ".ts":
    case ".mts":
    case ".js":
    case ".mjs":
      return { path, baseDir, config: defaultExport(await importFresh(path, snapshot, unless), path) };
    case ".json":
      return { path, baseDir, ...(await loadData(await parsedJson(path, snapshot), baseDir, { snapshot, unless })) };
    case ".yaml":
    case ".yml":
      return {
        path,
        baseDir,
        ...(await loadData(parseYaml(await readText(path, snapshot), shortPath(path)), baseDir, { snapshot, unless })),
      };
    default:
      throw new UsageError(`${shortPath(path)}: expected .ts, .mts, .js, .mjs, .json, .yaml or .yml`);
  }
}

/** The configuration that is meant: the given one, or the first of the known names in the folder. @throws UsageError */
export function findConfig(given: string | undefined, folder: string = process.cwd()): string {
  if (given !== undefined) {
    const path = resolve(folder, given);
    if (existsSync(path)) return path;
    throw new UsageError(`${given}: no such file`);
  }
  const found = DEFAULT_NAMES.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new UsageError(`no configuration: ${folder} has none of ${DEFAULT_NAMES.join(", ")}`);
}

function defaultExport(exports: Exports, path: string): unknown {
  if ("default" in exports) return exports["default"];
  throw new ConfigError([`${shortPath(path)}: expected a default export, like export default defineGateway({ … })`]);
}

async function parsedJson(path: string, snapshot: Snapshot): Promise<Data> {
  const source = await readText(path, snapshot);
  const parsed = parseJson(source, shortPath(path));
  if (parsed) return parsed;
  throw new ConfigError(await jsonFaults(source, path));
}

async function readText(path: string, snapshot: Snapshot): Promise<string> {
  const known = snapshot.get(path);
  if (known !== undefined) return known;
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new UsageError(`${shortPath(path)}: ${messageOf(cause)}`, { cause });
  }
  if (bytes.length > MAX_DATA_BYTES) throw new ConfigError([`${shortPath(path)}: larger than ${MAX_DATA_BYTES} bytes`]);
  const text = bytes.toString("utf8").replace(/^\uFEFF/, "");
  snapshot.set(path, text);
  return text;
}

async function loadData(
  { value, positions }: Data,
  baseDir: string,
  reading: Reading,
): Promise<{ config: unknown; data: DataFile }> {
  const modules = new Map<string, Exports | ConfigError>();
  for (const name of moduleNames(value)) modules.set(name, await loadModule(resolve(baseDir, name), reading));
  return { config: value, data: { positions, modules } };
}

/** The texts in `phases` of the gateway and of its servers. */
function moduleNames(config: unknown): readonly string[] {
  if (!isRecord(config)) return [];
  const servers = isRecord(config["servers"]) ? Object.values(config["servers"]) : [];
  const phases = [config, ...servers].map((holder) => (isRecord(holder) ? holder["phases"] : undefined));
  return [...new Set(phases.filter((name) => typeof name === "string"))];
}

async function loadModule(path: string, { snapshot, unless }: Reading): Promise<Exports | ConfigError> {
  try {
    return hooksOf(await importFresh(path, snapshot, unless));
  } catch (cause) {
    unless?.throwIfAborted();
    if (cause instanceof ConfigError) return cause;
    throw cause;
  }
}

/** Hooks are a module's named exports, or the one object that it exports by default. */
function hooksOf(exports: Exports): Exports {
  const { default: whole, ...named } = exports;
  return isRecord(whole) && Object.keys(named).length === 0 ? whole : exports;
}
