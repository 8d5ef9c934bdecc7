import { findSourceMap } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Frame } from "./words.ts";

/** Where the gateway's own code is. */
const OWN_FOLDER = `${pathToFileURL(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))}/`;

/**
 * The innermost place on a stack that is the user's own code, as it stands in a stack trace: `name (file:line:column)`. Code of
 * packages counts only where nothing else of the user's is on the stack; the gateway's and Node's never.
 */
export function placeOf(frames: readonly Frame[]): string | undefined {
  const foreign = frames.filter(({ url }) => /^(?:file:|\/)/.test(url) && !url.startsWith(OWN_FOLDER));
  const own = foreign.find(({ url }) => !url.includes("/node_modules/")) ?? foreign[0];
  if (!own) return undefined;
  const place = sourceOf(own);
  return own.functionName === "" ? place : `${own.functionName} (${place})`;
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
