import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const manifest = JSON.parse(read("package.json"));
const wanted: Readonly<Record<string, string>> = {
  ...manifest.dependencies,
  ...manifest.optionalDependencies,
  ...manifest.devDependencies,
};

test("every dependency has one exact version", () => {
  for (const version of Object.values(wanted)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});

test("docs/dependencies.md explains every dependency in its version, and no other", () => {
  const rows = read("docs/dependencies.md").matchAll(/^\| `([^`]+)` \| ([\d.]+) \| \S.* \| \d+ \| \S.* \| \S.* \|$/gm);
  expect(Object.fromEntries(Array.from(rows, ([, name, version]) => [name, version]))).toEqual(wanted);
});

test("the lock file names no host that packages came from", () => {
  expect(read("package-lock.json")).not.toContain('"resolved"');
});

test("no package may run an install script", () => {
  const scripted = Object.entries<{ hasInstallScript?: boolean }>(JSON.parse(read("package-lock.json")).packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length));
  for (const name of scripted) expect(manifest.allowScripts).toHaveProperty([name], false);
});
