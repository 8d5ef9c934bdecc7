import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { GatewayConfig } from "../gateway.ts";

/** Enough of a digest that two configurations of one machine never meet, short enough for the path of a unix socket. */
const NAME_LENGTH = 16;

/** A user's private folder for one configuration: there the command line looks for the gateway, whatever the file says by now. */
export function ownFolderOf(configPath: string): string {
  const name = createHash("sha256").update(configPath).digest("hex").slice(0, NAME_LENGTH);
  const runtime = process.env["XDG_RUNTIME_DIR"];
  return runtime ? join(runtime, "restyconf", name) : join(tmpdir(), `restyconf-${userInfo().uid}`, name);
}

/** Where a gateway keeps what is to survive it, and its socket for the command line: `stateDir`, or its own folder. Makes it, for its owner alone. */
export function makeStateDir(
  { stateDir }: GatewayConfig,
  { path, baseDir }: { path: string; baseDir: string },
): string {
  const own = ownFolderOf(path);
  const folder = stateDir === undefined ? own : resolve(baseDir, stateDir);
  for (const each of new Set([own, folder])) {
    mkdirSync(each, { recursive: true, mode: 0o700 });
    chmodSync(each, 0o700);
  }
  if (folder !== own) linkControl(folder, own);
  return folder;
}

/** Path of the socket by which the command line reaches a gateway. */
export function controlPath(folder: string): string {
  return join(folder, "control.sock");
}

/** So that the command line finds the socket without reading the configuration, which may be broken at the moment. */
function linkControl(folder: string, own: string): void {
  rmSync(controlPath(own), { force: true });
  symlinkSync(controlPath(folder), controlPath(own));
}
