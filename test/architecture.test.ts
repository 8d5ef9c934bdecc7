import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const PARTS = ["codecs", "shared", "preread", "upstream", "registry", "ssl", "stream"];

/** Who may import whom, besides itself and `errors.ts`. A part that is not listed does not exist. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "errors.ts": [],
  codecs: [],
  shared: [],
  preread: ["codecs"],
  upstream: ["codecs", "shared"],
  registry: ["codecs", "shared"],
  ssl: ["codecs", "shared", "registry"],
  stream: ["codecs", "preread", "ssl", "upstream", "shared", "registry"],
  "gateway.ts": PARTS,
  worker: [...PARTS, "gateway.ts"],
  admin: ["worker", "stream"],
  testing: [...PARTS, "gateway.ts", "worker"],
  "index.ts": [...PARTS, "gateway.ts", "worker"],
  "program.ts": [...PARTS, "gateway.ts", "worker", "admin"],
  "cli.ts": ["worker", "program.ts"],
};
const MAX_LINES = 400;
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const DRAWERS = ["util", "utils", "helper", "helpers", "common", "misc", "types", "manager"];
const BARRELS = ["index.ts", "preread/index.ts", "codecs/index.ts", "testing/index.ts"];
const RE_EXPORT = /^export (?:type )?(?:\{[^}]*\}|\*(?: as \w+)?) from "";$/gm;
const PARTIAL_TEST = /\b(?:test|it|describe)(?:\.\w+)*\.(?:skip|skipIf|runIf|todo|only|fails)\b/;

const src = fileURLToPath(new URL("../src", import.meta.url));
const tests = fileURLToPath(new URL(".", import.meta.url));
const sources = typescriptIn(src).map((path) => readSource(path));

test("every file imports only what its part may know", () => {
  const trespasses = sources.flatMap(({ path, imports }) => {
    const known = [topOf(path), "errors.ts", ...(ALLOWED[topOf(path)] ?? [])];
    const targets = imports.filter(isLocal).map(({ from }) => topOf(join(dirname(path), from)));
    return targets.filter((target) => !known.includes(target)).map((target) => `${path} imports ${target}`);
  });
  expect(trespasses).toEqual([]);
});

test("every part has its place in the table of layers", () => {
  expect(pathsWhere(({ path }) => !Object.hasOwn(ALLOWED, topOf(path)))).toEqual([]);
});

test("gateway.ts takes nothing but types from the parts", () => {
  const gateway = sources.filter(({ path }) => path === "gateway.ts").flatMap(({ imports }) => imports);
  const values = gateway.filter((entry) => isLocal(entry) && !entry.typeOnly).map(({ from }) => from);
  expect(values.filter((from) => from !== "./errors.ts")).toEqual([]);
});

test("a third-party library is imported by one part only", () => {
  const users = new Map<string, Set<string>>();
  for (const { path, imports } of sources) {
    for (const { from } of imports.filter((entry) => !isLocal(entry) && !entry.from.startsWith("node:"))) {
      users.set(packageOf(from), (users.get(packageOf(from)) ?? new Set()).add(topOf(path)));
    }
  }
  const several = [...users].filter(([, parts]) => parts.size > 1);
  expect(several.map(([name, parts]) => `${name} in ${[...parts].join(", ")}`)).toEqual([]);
});

test("an index file only re-exports, and there is one for each entry of the package", () => {
  expect(pathsWhere(({ path }) => basename(path) === "index.ts" && !BARRELS.includes(path))).toEqual([]);
  const others = ({ path, code }: Source) => BARRELS.includes(path) && code.replace(RE_EXPORT, "").trim() !== "";
  expect(pathsWhere(others)).toEqual([]);
});

test("only cli.ts reads the command line", () => {
  expect(pathsWhere(({ path, code }) => path !== "cli.ts" && /\bargv\b/.test(code))).toEqual([]);
});

test("cli.ts loads next to nothing before it hears signals", () => {
  const eager = (path: string): readonly string[] => {
    const { text = "" } = sources.find((source) => source.path === path) ?? {};
    const local = [...text.matchAll(/^import (?!type\b)[^;]*"(\..+)"/gm)].map(([, from = ""]) =>
      normalize(join(dirname(path), from)).replaceAll("\\", "/"),
    );
    return [path, ...local.flatMap(eager)];
  };
  expect(eager("cli.ts")).toEqual(["cli.ts", "worker/requests.ts"]);
});

test(`no file is longer than ${MAX_LINES} lines`, () => {
  expect(pathsWhere(({ text }) => text.split("\n").length - 1 > MAX_LINES)).toEqual([]);
});

test("every export has a name", () => {
  expect(pathsWhere(({ code }) => /^export default\b|\bas default\b/m.test(code))).toEqual([]);
});

test("the type checker is never turned off", () => {
  expect(pathsWhere(({ text }) => /@ts-(ignore|expect-error|nocheck)/.test(text))).toEqual([]);
  expect(pathsWhere(({ code }) => /(?<![.\w])any\b(?!\s*\()/.test(code))).toEqual([]);
});

test("files are named in kebab-case after what is inside, never after a drawer", () => {
  const names = sources.map(({ path }) => basename(path, ".ts"));
  expect(names.filter((name) => !KEBAB_CASE.test(name))).toEqual([]);
  expect(names.filter((name) => DRAWERS.includes(name.split("-").at(-1) ?? ""))).toEqual([]);
});

test("no test is skipped, left for later or run alone", () => {
  const code = (path: string) => withoutTexts(readFileSync(join(tests, path), "utf8"));
  expect(typescriptIn(tests).filter((path) => PARTIAL_TEST.test(code(path)))).toEqual([]);
});

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
}

interface Source {
  /** Below src, with `/`. */
  readonly path: string;
  readonly text: string;
  /** The text without its comments, and with every string empty. */
  readonly code: string;
  readonly imports: readonly Import[];
}

function readSource(path: string): Source {
  const text = readFileSync(join(src, path), "utf8");
  return { path, text, code: withoutTexts(text), imports: importsOf(text) };
}

function pathsWhere(broken: (source: Source) => boolean): readonly string[] {
  return sources.filter(broken).map(({ path }) => path);
}

/** Statements begin their line (the formatter sees to it), which keeps the examples in doc comments out. */
function importsOf(text: string): readonly Import[] {
  const statements = text.matchAll(/^(?:import|export)\b(?<type> type\b)?(?:[^;"]*\bfrom)?\s*"(?<from>[^"]+)"/gm);
  const inline = text.matchAll(/^(?!\s*(?:\/\/|\/?\*)).*\bimport\(\s*"(?<from>[^"]+)"/gm);
  return [...statements, ...inline].map(({ groups }) => ({
    from: groups?.["from"] ?? "",
    typeOnly: groups?.["type"] !== undefined,
  }));
}

function withoutTexts(text: string): string {
  const pattern = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/.*/g;
  return text.replace(pattern, (found) => (found.startsWith("/") ? "" : '""'));
}

function typescriptIn(folder: string): readonly string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => name.replaceAll("\\", "/"));
  return names.filter((name) => name.endsWith(".ts")).sort();
}

function isLocal({ from }: Import): boolean {
  return from.startsWith(".");
}

function topOf(path: string): string {
  return normalize(path).split(/[\\/]/)[0] ?? "";
}

function packageOf(from: string): string {
  const parts = from.split("/");
  return parts.slice(0, from.startsWith("@") ? 2 : 1).join("/");
}
