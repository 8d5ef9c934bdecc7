import { findSourceMap } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Frame } from "./words.ts";

/** Where the gateway's own code is. */
const OWN_FOLDER = `${pathToFileURL(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))}/`;

/** Two places on a stack, as they stand in stack traces: `name (file:line:column)`. */
export interface Place {
  /** Where the user's code is. */
  readonly at: string;
  /** Where the hook is that led there; undefined: at the same place. */
  readonly from: string | undefined;
}

/**
 * The innermost and the outermost place on a stack that are the user's own code. Code of packages counts only where nothing else of
 * the user's is on the stack; the gateway's and Node's never.
 */
export function placeOf(frames: readonly Frame[]): Place | undefined {
  const foreign = frames.filter(({ url }) => /^(?:file:|\/)/.test(url) && !url.startsWith(OWN_FOLDER));
  const own = foreign.filter(({ url }) => !url.includes("/node_modules/"));
  const [inner, ...outer] = own.length > 0 ? own : foreign;
  const last = outer.at(-1);
  return inner && { at: shown(inner), from: last && shown(last) };
}

function shown(frame: Frame): string {
  const place = sourceOf(frame);
  return frame.functionName === "" ? place : `${frame.functionName} (${place})`;
}

/** Bundles know their sources: the map that Node has of them is asked. */
function sourceOf({ url, line, column }: Frame): string {
  const entry = findSourceMap(url)?.findEntry(line, column);
  const isMapped = entry !== undefined && "originalSource" in entry;
  const source = isMapped ? entry.originalSource : url;
  const file = source.startsWith("file:") ? fileURLToPath(source) : source;
  return isMapped
    ? `${file}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
    : `${file}:${line + 1}:${column + 1}`;
}
