import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
} from "yaml";
import { messageOf } from "../../../errors.ts";
import { ConfigError } from "../config-error.ts";
import type { KeyPath } from "../key-path.ts";

/** A place in a text, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly col: number;
}

/** Finds the place of a key, or of its value. */
export type Positions = (path: KeyPath, part: "key" | "value") => Place;

/** What a JSON or YAML text says, and where it says it. */
export interface Data {
  readonly value: unknown;
  readonly positions: Positions;
}

type Parsed = Document.Parsed<ParsedNode>;

/** Aliases may make much of a small text; a configuration needs few. */
const MAX_ALIASES = 100;

/** Reads YAML 1.2. Its errors do not show the text around them: there may be a password in it. @throws ConfigError */
export function parseYaml(source: string, file: string): Data {
  return guarded(source, file, () => {
    const lines = new LineCounter();
    const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, stringKeys: true });
    refuse([...document.errors, ...document.warnings], file, lines);
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }), positions: positionsIn(document, lines) };
  });
}

/** Reads JSON. Undefined when it is none: the parser's own words would show the text. @throws ConfigError */
export function parseJson(source: string, file: string): Data | undefined {
  const value = jsonValue(source);
  if (value === undefined) return undefined;
  return guarded(source, file, () => {
    const lines = new LineCounter();
    const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, schema: "json" });
    // Of two equal keys JSON.parse takes the last in silence. All else that YAML minds is right in JSON: tabs.
    refuse(
      document.errors.filter(({ code }) => code === "DUPLICATE_KEY"),
      file,
      lines,
    );
    return { value, positions: positionsIn(document, lines) };
  });
}

function jsonValue(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    return undefined;
  }
}

function refuse(faults: Parsed["errors" | "warnings"], file: string, lines: LineCounter): void {
  if (faults.length === 0) return;
  throw new ConfigError(faults.map(({ pos, message }) => `${file}:${place(lines, pos[0])}: ${message}`));
}

/** An alias without anchor ends in a ReferenceError. */
function guarded(source: string, file: string, parse: () => Data): Data {
  if (isTooDeep(source)) throw new ConfigError([`${file}: nested too deeply`]);
  try {
    return parse();
  } catch (cause) {
    throw cause instanceof ConfigError ? cause : new ConfigError([`${file}: ${messageOf(cause)}`], { cause });
  }
}

/** The parser calls itself for each level, and some thousand levels end the process, not only the parser. */
const MAX_DEPTH = 200;

/** Judges by brackets left open, those in texts as well, and by what stands before the first word of a line. */
function isTooDeep(source: string): boolean {
  if (/^[ \t?:-]{400}/m.test(source)) return true; // two characters for each level of MAX_DEPTH
  let depth = 0;
  for (const [bracket] of source.matchAll(/[[\]{}]/g)) {
    depth += bracket === "[" || bracket === "{" ? 1 : -1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

function positionsIn(document: Parsed, lines: LineCounter): Positions {
  return (path, part) => {
    let node: unknown = document.contents;
    let offset = startOf(node) ?? 0;
    for (const [depth, key] of path.entries()) {
      const found = childOf(isAlias(node) ? node.resolve(document) : node, key);
      if (!found) {
        if (isScalar(node)) offset = startOf(node) ?? offset; // inside of what a text stands for: a module
        break; // what is missing is missing in the last thing that was there
      }
      node = found.value;
      const wanted = depth === path.length - 1 ? part : "key";
      offset = (wanted === "value" ? startOf(node) : undefined) ?? startOf(found.key) ?? offset;
    }
    return lines.linePos(offset);
  };
}

function childOf(node: unknown, key: string | number): { readonly key: unknown; readonly value: unknown } | undefined {
  if (isMap(node)) return node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(key));
  const item = isSeq(node) ? node.items[Number(key)] : undefined;
  return item === undefined ? undefined : { key: item, value: item };
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function place(lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${line}:${col}`;
}
