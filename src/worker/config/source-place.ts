import { isAbsolute, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../errors.ts";
import { isRecord } from "./schema/schema.ts";

/** A path as people type it: relative where it is inside the working directory. */
export function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short === "" || short.startsWith("..") || isAbsolute(short) ? path : short;
}

/** The faults that esbuild found, each with its place in the source. */
export function buildFaults(cause: unknown, baseDir: string): string[] {
  if (!isRecord(cause) || !Array.isArray(cause["errors"])) return [messageOf(cause)];
  return cause["errors"].filter(isRecord).map(({ text, location }) => {
    if (!isRecord(location)) return String(text);
    const file = shortPath(resolve(baseDir, String(location["file"])));
    return `${file}:${location["line"]}:${Number(location["column"]) + 1}: ${text}`;
  });
}

/** What is not the user's own source in a stack. */
export interface Machinery {
  /** The bundle, where a frame could not be mapped back. */
  readonly bundle: string;
  /** The file that loads modules: what is below it in a stack did not cause the fault. */
  readonly loader: string;
  /** The folder of the gateway. */
  readonly folder: string;
}

/** What a module threw while it was loaded, with the first place in its stack that is the user's own source. */
export function thrownFault(cause: unknown, path: string, { bundle, loader, folder }: Machinery): string {
  const stack = cause instanceof Error ? (cause.stack ?? "") : "";
  const frames = [...stack.matchAll(FRAME)].map(([, file = "", place = ""]) => ({ file: decoded(file), place }));
  const loaded = frames.findIndex(({ file }) => file === loader);
  const foreign = [bundle, `${folder}${sep}`];
  const own = frames
    .slice(0, loaded === -1 ? frames.length : loaded)
    .find(({ file }) => !file.includes(`${sep}node_modules${sep}`) && !foreign.some((start) => file.startsWith(start)));
  const name = cause instanceof Error ? `${cause.name}: ` : "";
  return `${shortPath(own?.file ?? path)}${own?.place ?? ""}: ${name}${messageOf(cause)}`;
}

/** A file in a stack of V8 and the place there, mapped by Node: the first line of a syntax error, or a frame. `node:` modules have no path. */
const FRAME = /^(?: +at (?:.*\()?)?((?:file:\/)?\/[^\n]*?)((?::\d+){1,2})\)?$/gm;

function decoded(file: string): string {
  return file.startsWith("file:") ? fileURLToPath(file) : file;
}
