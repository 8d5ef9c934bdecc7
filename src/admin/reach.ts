import { resolve } from "node:path";
import { loadConfig } from "../worker/config/load-config.ts";
import { ownFoldersOf } from "../worker/state-dir.ts";
import { ask, NotRunning } from "./ask.ts";

/**
 * Finds the gateway that was started with a configuration: by the user's own folders, or else by its `stateDir`, for which the
 * configuration is read. Resolves with the folder of its socket. @throws NotRunning
 */
export async function reach(configPath: string): Promise<string> {
  let failed = new NotRunning(`no gateway answers: none was started with ${configPath} by this user`);
  const look = async (folder: string): Promise<boolean> => {
    try {
      await ask(folder, "GET /version");
      return true;
    } catch (cause) {
      if (cause instanceof NotRunning) failed = cause;
      return !(cause instanceof NotRunning);
    }
  };
  for (const folder of ownFoldersOf(configPath)) if (await look(folder)) return folder;
  const stateDir = await stateDirOf(configPath);
  if (stateDir !== undefined && (await look(stateDir))) return stateDir;
  throw failed;
}

/** Undefined: the configuration names none, or cannot be read at the moment. */
async function stateDirOf(configPath: string): Promise<string | undefined> {
  try {
    const { config, baseDir } = await loadConfig(configPath);
    if (typeof config !== "object" || config === null || !("stateDir" in config)) return undefined;
    return typeof config.stateDir === "string" ? resolve(baseDir, config.stateDir) : undefined;
  } catch {
    return undefined;
  }
}
