import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, stop, transform } from "esbuild";
import { boundaries, META, OWN_FOLDER } from "./bundle-boundaries.ts";
import { ConfigError } from "./config-error.ts";
import { buildFaults, shortPath, thrownFault } from "./source-place.ts";

/** The exports of a module. */
export type Exports = Readonly<Record<string, unknown>>;

/** What files held when a configuration was read, so that other processes read the same: modules as their bundles. */
export type Snapshot = Map<string, string>;

/**
 * Loads a TypeScript or JavaScript module as it is on disk now, however often it was loaded before, together with the
 * local modules that it imports; packages and RestyConf itself stay shared. None of its code runs once `unless` has aborted.
 * @throws ConfigError with the place in the source, and the reason of `unless`
 */
export async function importFresh(
  path: string,
  snapshot: Snapshot = new Map(),
  unless?: AbortSignal,
): Promise<Exports> {
  unless?.throwIfAborted();
  process.setSourceMapsEnabled(true); // errors of hooks must name the user's lines, not the bundle's
  const folder = await mkdtemp(join(tmpdir(), "restyconf-module-"));
  const file = join(folder, "module.mjs"); // its own name each time: Node never forgets a module
  try {
    const text = snapshot.get(path) ?? (await bundle(path, file));
    snapshot.set(path, text);
    await writeFile(file, text);
    unless?.throwIfAborted();
    return await evaluate(path, file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const THIS_FILE = fileURLToPath(import.meta.url);

/** The oldest Node that runs us: syntax beyond it is rewritten. */
const TARGET = "node20.19";

async function bundle(path: string, outfile: string): Promise<string> {
  try {
    const built = ask(() =>
      build({
        absWorkingDir: dirname(path),
        entryPoints: [path],
        outfile, // paths in the source map are relative to it
        write: false,
        bundle: true,
        format: "esm",
        platform: "node",
        target: TARGET,
        conditions: [], // without esbuild's own `module`: what Node would resolve
        sourcemap: "inline",
        sourcesContent: false, // names and lines are enough, and Node keeps every map for good
        charset: "utf8",
        logLevel: "silent",
        define: META,
        plugins: [boundaries(dirname(path))],
      }),
    );
    return (await built).outputFiles.map((output) => output.text).join("");
  } catch (cause) {
    throw new ConfigError(buildFaults(cause, dirname(path)), { cause });
  }
}

/** Who waits for esbuild. */
let asking = 0;

/** Esbuild keeps a child process, whose end fails all that it is asked then: the last one ends it. */
async function ask<Value>(work: () => Promise<Value>): Promise<Value> {
  asking++;
  try {
    return await work();
  } finally {
    if (--asking === 0) await stop();
  }
}

async function evaluate(path: string, file: string): Promise<Exports> {
  try {
    const exports: Exports = await import(pathToFileURL(file).href);
    return exports;
  } catch (cause) {
    throw new ConfigError([thrownFault(cause, path, { bundle: file, loader: THIS_FILE, folder: OWN_FOLDER })], {
      cause,
    });
  }
}

/** Says where a text fails to be JSON, and how, without showing what stands there. */
export async function jsonFaults(source: string, path: string): Promise<string[]> {
  try {
    await ask(() => transform(source, { loader: "json", sourcefile: path, logLevel: "silent" }));
    return [`${shortPath(path)}: not valid JSON`];
  } catch (cause) {
    return buildFaults(cause, dirname(path));
  }
}
