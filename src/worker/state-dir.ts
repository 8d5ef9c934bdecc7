import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, readlinkSync, rmdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { messageOf } from "../errors.ts";
import type { GatewayConfig } from "../gateway.ts";

/** Enough of a digest that two configurations of one machine never meet, short enough for the path of a unix socket. */
const NAME_LENGTH = 16;

/** Write permission of the group and of everybody. */
const OTHERS_WRITE = 0o022;

/** A user may have a number without a name, in a container. Windows has none. */
function ownUid(): number {
  return process.getuid?.() ?? 0;
}

/** Where a user's gateways may have their private folders, the best place first. */
function placesOf(uid: number): readonly string[] {
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  return [
    ...(runtime !== undefined && isOwn(runtime, uid) ? [join(runtime, "restyconf")] : []), // su(1) leaves another user's
    ...(uid === 0 ? ["/run/restyconf"] : []),
    join(tmpdir(), `restyconf-${uid}`),
  ];
}

/** Where the command line looks for a gateway: a service's environment is not that of a login, so each knows the other's places. */
export function ownFoldersOf(configPath: string): readonly string[] {
  const uid = ownUid();
  const places = new Set([...placesOf(uid), `/run/user/${uid}/restyconf`]);
  const folders = [...places].map((place) => ({ place, folder: join(place, nameOf(configPath)) }));
  return folders.filter(({ place, folder }) => isOwn(place, uid) && isOwn(folder, uid)).map(({ folder }) => folder);
}

/** Makes a user's private folder for one configuration, at the first place where nobody else could have a hand in it. Throws where there is none. */
function makeOwnFolder(configPath: string): string {
  const uid = ownUid();
  const faults: string[] = [];
  for (const place of placesOf(uid)) {
    try {
      return makeOwn(join(makeOwn(place, uid), nameOf(configPath)), uid);
    } catch (cause) {
      faults.push(messageOf(cause));
    }
  }
  throw new Error(`no private folder: ${faults.join("; ")}`);
}

/** The folders of a gateway. */
export interface StateDirs {
  /** For what is to survive the gateway, and for its socket; undefined: there is none. */
  readonly folder: string | undefined;
  /** Where the command line looks first, whatever the file says by now. Undefined: nowhere is safe. */
  readonly own: string | undefined;
}

/**
 * Makes the folders of a gateway, for its owner alone: `stateDir` of the configuration, and a private one. Throws the system's errors
 * for `stateDir`; `warn` is told when the private one cannot be had.
 */
export function makeStateDirs(
  { stateDir }: GatewayConfig,
  { path, baseDir }: { path: string; baseDir: string },
  warn: (why: string) => void,
): StateDirs {
  const folder = stateDir === undefined ? undefined : resolve(baseDir, stateDir);
  if (folder !== undefined) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  }
  try {
    const own = makeOwnFolder(path);
    return { folder: folder ?? own, own };
  } catch (cause) {
    warn(messageOf(cause));
    return { folder, own: undefined };
  }
}

/** Path of the socket by which the command line reaches a gateway. */
export function controlPath(folder: string): string {
  return join(folder, "control.sock");
}

/** So that the command line finds the socket without reading the configuration, which may be broken at the moment. For a socket that is open. */
export function linkControl({ folder, own }: StateDirs): void {
  if (folder === undefined || own === undefined || folder === own) return;
  rmSync(controlPath(own), { force: true });
  symlinkSync(controlPath(folder), controlPath(own));
}

/** Takes the private folder of a gateway that has ended away, unless something is in it still. */
export function leaveOwn({ folder, own }: StateDirs): void {
  if (folder === undefined || own === undefined) return;
  try {
    const link = controlPath(own);
    if (folder !== own && readlinkSync(link) === controlPath(folder)) rmSync(link);
    rmdirSync(own);
  } catch {
    // it holds what is to stay, or another gateway's link
  }
}

function nameOf(configPath: string): string {
  return createHash("sha256").update(configPath).digest("hex").slice(0, NAME_LENGTH);
}

/** Makes a folder, or takes the one that is there if it is the user's own. What stands in a place for everybody may be a stranger's trap. */
function makeOwn(folder: string, uid: number): string {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause;
  }
  if (!isOwn(folder, uid)) throw new Error(`${folder}: not a folder of user ${uid} that nobody else may write to`);
  return folder;
}

function isOwn(folder: string, uid: number): boolean {
  try {
    const found = lstatSync(folder);
    return found.isDirectory() && found.uid === uid && (found.mode & OTHERS_WRITE) === 0;
  } catch {
    return false; // there is none, or it is in a place that is closed to the user
  }
}
