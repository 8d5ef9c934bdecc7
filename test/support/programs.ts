import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a real program to its end. `input` is written to it, then its standard input is closed. */
export async function run(
  command: string,
  args: readonly string[],
  { input = "", timeoutMs = 30_000 } = {},
): Promise<Ran> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  const stdout = collect(child, "stdout");
  const stderr = collect(child, "stderr");
  child.stdin.on("error", () => {}); // a program may end before it has read all
  child.stdin.end(input);
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  await once(child, "close");
  clearTimeout(timer);
  return { code: child.exitCode, stdout: stdout(), stderr: stderr() };
}

/** Runs a line of shell, as a reader of the documentation would paste it. */
export function shell(line: string, options?: { input?: string; timeoutMs?: number }): Promise<Ran> {
  return run("bash", ["-c", line], options);
}

function collect(child: ChildProcess, stream: "stdout" | "stderr"): () => string {
  const chunks: Buffer[] = [];
  child[stream]?.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString("utf8");
}
