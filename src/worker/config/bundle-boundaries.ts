import { readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { dirname, extname, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Loader, OnResolveArgs, OnResolveResult, Plugin, PluginBuild } from "esbuild";

/** What esbuild puts in the place of `import.meta…`: names which each file imports from a module of its own. */
export const META: Readonly<Record<string, string>> = {
  "import.meta.url": "__restyconf_url",
  "import.meta.filename": "__restyconf_filename",
  "import.meta.dirname": "__restyconf_dirname",
};

const META_NAMESPACE = "restyconf-meta";

/** The folder of the running gateway: `dist`, or `src` where the sources themselves run. */
export const OWN_FOLDER = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** `.js`, or `.ts` where the sources themselves run. */
const OWN_EXTENSION = extname(fileURLToPath(import.meta.url));

/** What configurations import of us. It must be the code that runs, whatever version lies in the user's `node_modules`. */
const OWN_MODULES: ReadonlyMap<string, string> = new Map([
  ["restyconf", `${OWN_FOLDER}${sep}index${OWN_EXTENSION}`],
  ["restyconf/preread", `${OWN_FOLDER}${sep}preread${sep}index${OWN_EXTENSION}`],
  ["restyconf/codecs", `${OWN_FOLDER}${sep}codecs${sep}index${OWN_EXTENSION}`],
  ["restyconf/testing", `${OWN_FOLDER}${sep}testing${sep}index${OWN_EXTENSION}`],
]);

/** Decides what belongs to a user's bundle: local modules do; packages, Node and RestyConf stay outside and shared. */
export function boundaries(baseDir: string): Plugin {
  return {
    name: "restyconf",
    setup(build) {
      build.onResolve({ filter: /.*/ }, (args) => resolve(build, args, baseDir));
      build.onLoad({ filter: SOURCE, namespace: "file" }, ({ path }) => loadWithMeta(path));
      build.onLoad({ filter: /.*/, namespace: META_NAMESPACE }, ({ path }) => ({ contents: metaModule(path) }));
    },
  };
}

/** Marks our own question to esbuild, which comes back to us first. */
const ASKED = Symbol("asked");

async function resolve(build: PluginBuild, args: OnResolveArgs, baseDir: string): Promise<OnResolveResult | undefined> {
  if (args.kind === "entry-point" || args.pluginData === ASKED) return undefined;
  if (args.path.startsWith(`${META_NAMESPACE}:`)) {
    return { path: args.path.slice(META_NAMESPACE.length + 1), namespace: META_NAMESPACE };
  }
  if (isBuiltin(args.path)) return { path: args.path, external: true };
  if (args.path.startsWith("file:")) return place(fileURLToPath(args.path), () => true);
  const own = OWN_MODULES.get(args.path);
  if (own) return place(own, () => true);
  const { kind, importer, namespace, resolveDir } = args;
  const found = await build.resolve(args.path, { kind, importer, namespace, resolveDir, pluginData: ASKED });
  if (found.errors.length > 0 || found.external) return found;
  const local = /^\.{0,2}\//.test(args.path);
  return place(found.path, (path) => path.startsWith(OWN_FOLDER + sep) || (!local && isPackage(path, baseDir)));
}

/** What lies outside becomes an import by absolute URL, unless Node could not load it: TypeScript is always bundled. */
function place(path: string, isOutside: (path: string) => boolean): OnResolveResult {
  if (!/\.(?:[cm]?js|node)$/.test(path) || !isOutside(path)) return { path };
  return { path: pathToFileURL(path).href, external: true };
}

/** A bare name may also be an alias of the user's tsconfig for a file of their own. */
function isPackage(path: string, baseDir: string): boolean {
  return path.includes(`${sep}node_modules${sep}`) || !path.startsWith(baseDir + sep);
}

/** What may use `import.meta`. A `.cjs` file may not, and must not become a module by our import. */
const SOURCE = /\.(?:[mc]?ts|m?js|[jt]sx)$/;

const LOADERS: ReadonlyMap<string, Loader> = new Map<string, Loader>([
  [".ts", "ts"],
  [".mts", "ts"],
  [".cts", "ts"],
  [".tsx", "tsx"],
  [".jsx", "jsx"],
]);

/** The import goes to the end, so that lines and columns of errors stay right. */
async function loadWithMeta(path: string): Promise<{ contents: string; loader: Loader } | undefined> {
  const source = await readFile(path, "utf8");
  if (!source.includes("import.meta")) return undefined;
  const names = Object.values(META).join(", ");
  const contents = `${source}\nimport { ${names} } from ${JSON.stringify(`${META_NAMESPACE}:${path}`)};\n`;
  return { contents, loader: LOADERS.get(extname(path)) ?? "js" };
}

function metaModule(path: string): string {
  const values = [pathToFileURL(path).href, path, dirname(path)];
  return Object.values(META)
    .map((name, index) => `export const ${name} = ${JSON.stringify(values[index])};`)
    .join("\n");
}
