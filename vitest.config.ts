import { fileURLToPath } from "node:url";
import { defineConfig, type ViteUserConfig } from "vitest/config";

const source = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));

const STORIES = "test/e2e/**/*.test.ts";

/** Stories of processes, configurations and Redis, in which it makes no difference who carries the bytes. */
const UNCARRIED = [
  "canary",
  "commands",
  "distribution",
  "events",
  "everywhere",
  "finding",
  "given-up",
  "growing-faults",
  "ids",
  "links",
  "long-lists",
  "redis-struck",
  "reload-faults",
  "replacement",
  "shared-dict",
  "slow-hooks",
  "start-keys",
  "worker-ends",
].map((name) => `test/e2e/${name}.test.ts`);

const config: ViteUserConfig = defineConfig({
  // A test that imports an example must get the sources, as its own imports do, not a second copy from dist.
  resolve: {
    alias: [
      { find: /^restyconf$/, replacement: source("index.ts") },
      { find: /^restyconf\/preread$/, replacement: source("preread/index.ts") },
      { find: /^restyconf\/codecs$/, replacement: source("codecs/index.ts") },
      { find: /^restyconf\/testing$/, replacement: source("testing/index.ts") },
    ],
  },
  test: {
    // Stories are told on both paths: the same sentences must hold whoever carries the bytes.
    projects: [
      { extends: true, test: { name: "parts", include: ["test/**/*.test.ts"], exclude: [STORIES] } },
      { extends: true, test: { name: "carrier", include: [STORIES], env: { RESTYCONF_CARRIER: "native" } } },
      {
        extends: true,
        test: { name: "node path", include: [STORIES], exclude: UNCARRIED, env: { RESTYCONF_CARRIER: "node" } },
      },
    ],
    // A process per file: nothing leaks from one to the next, and process-wide counts (file descriptors, heap) are its own.
    pool: "forks",
    // Real servers run beside the tests; more workers than this only make their time-outs lie.
    maxWorkers: 2,
    // A story may wait for a real time-out of some seconds, and its machine may have other work; a law over 10^5 inputs takes a minute or more.
    testTimeout: process.env["RESTYCONF_LONG"] ? 600_000 : 60_000,
    hookTimeout: 60_000,
    // Servers live in the system's folders, which a user's path may lack.
    env: { PATH: `${process.env["PATH"]}:/usr/local/sbin:/usr/sbin:/sbin` },
  },
});

export default config;
