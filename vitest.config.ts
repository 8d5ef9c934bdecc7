import { defineConfig, type ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Two cores run real processes beside the tests; a story may wait for a real timeout of some seconds.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});

export default config;
