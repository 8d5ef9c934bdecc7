import { createHash } from "node:crypto";
import { chmodSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { GatewayConfig } from "../gateway.ts";

/** Enough of a digest that two configurations of one machine never meet, short enough for the path of a unix socket. */
const NAME_LENGTH = 16;

/** Where a gateway keeps its socket for the command line: `stateDir`, or a private folder for this configuration. Absolute. */
export function stateDirOf({ stateDir }: GatewayConfig, { path, baseDir }: { path: string; baseDir: string }): string {
  if (stateDir !== undefined) return resolve(baseDir, stateDir);
  const name = createHash("sha256").update(path).digest("hex").slice(0, NAME_LENGTH);
  const runtime = process.env["XDG_RUNTIME_DIR"];
  return runtime ? join(runtime, "restyconf", name) : join(tmpdir(), `restyconf-${userInfo().uid}`, name);
}

/** Makes it, for its owner alone. */
export function makeStateDir(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
}
