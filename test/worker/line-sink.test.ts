import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, readFileSync, readSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LineSink } from "../../src/worker/line-sink.ts";
import { run } from "../support/programs.ts";
import { TempFolder } from "./temp-folder.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A pipe that somebody has opened for reading, and reads only when told to. */
async function pipe(folder: TempFolder): Promise<{ path: string; reader: number }> {
  const path = join(folder.path, "pipe");
  await run("mkfifo", [path]);
  return { path, reader: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) };
}

/** Everything that is in a pipe now. */
function readAll(reader: number): string {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(65_536);
    let size = 0;
    try {
      size = readSync(reader, chunk);
    } catch {
      break; // empty
    }
    if (size === 0) break; // no writer
    chunks.push(chunk.subarray(0, size));
  }
  return Buffer.concat(chunks).toString();
}

describe("a file of lines", () => {
  test("gets them in order, in one write per turn, and nobody else may read it", async () => {
    using folder = new TempFolder();
    const path = join(folder.path, "access.log");
    const sink = new LineSink(path);
    for (let n = 0; n < 1_000; n++) sink.write(`${n}\n`);
    expect(readFileSync(path, "utf8")).toBe("");
    await turn();
    expect(readFileSync(path, "utf8").split("\n")).toHaveLength(1_001);
    expect(statSync(path).mode & 0o007).toBe(0);
    sink.close();
  });

  test("is appended to, and made when it is not there", () => {
    using folder = new TempFolder({ "access.log": "old\n" });
    const path = join(folder.path, "access.log");
    const sink = new LineSink(path);
    sink.write("new\n");
    sink.close();
    expect(readFileSync(path, "utf8")).toBe("old\nnew\n");
  });

  test("can be renamed: after reopen, lines before are in the old one and lines after in a new one", () => {
    using folder = new TempFolder();
    const path = join(folder.path, "access.log");
    const sink = new LineSink(path);
    sink.write("1\n");
    renameSync(path, `${path}.1`);
    sink.write("2\n");
    sink.reopen();
    sink.write("3\n");
    sink.close();
    expect(readFileSync(`${path}.1`, "utf8")).toBe("1\n2\n");
    expect(readFileSync(path, "utf8")).toBe("3\n");
  });

  test("goes on in the old one when it cannot be reopened", () => {
    using folder = new TempFolder({ "logs/x": "" });
    const path = join(folder.path, "logs/access.log");
    const sink = new LineSink(path);
    renameSync(join(folder.path, "logs"), join(folder.path, "moved"));
    expect(() => sink.reopen()).toThrow("ENOENT");
    sink.write("still\n");
    sink.close();
    expect(readFileSync(join(folder.path, "moved/access.log"), "utf8")).toBe("still\n");
  });

  test("cannot be in a folder that is not there, nor a pipe that nobody reads", async () => {
    using folder = new TempFolder();
    expect(() => new LineSink(join(folder.path, "no/access.log"))).toThrow("ENOENT");
    await run("mkfifo", [join(folder.path, "unread")]);
    expect(() => new LineSink(join(folder.path, "unread"))).toThrow("ENXIO");
  });
});

describe("a reader that is slow", () => {
  test("gets every line in order once it reads again, and nobody waits for it", async () => {
    using folder = new TempFolder();
    const { path, reader } = await pipe(folder);
    const sink = new LineSink(path);
    const lines = Array.from({ length: 4_000 }, (_, n) => `${n} ${"x".repeat(100)}\n`);
    for (const line of lines) sink.write(line); // 400 KB, while a pipe holds 64 KiB
    await turn();
    let got = "";
    const more = (): string => {
      got += readAll(reader);
      return got;
    };
    await expect.poll(() => more().length, { timeout: 10_000 }).toBe(lines.join("").length);
    expect(got).toBe(lines.join(""));
    sink.close();
    closeSync(reader);
  });

  test("loses lines beyond 4 MiB, and is told how many", async () => {
    using folder = new TempFolder();
    const { path, reader } = await pipe(folder);
    const sink = new LineSink(path);
    const line = `${"x".repeat(1_023)}\n`;
    const total = 6 * 1_024;
    for (let n = 0; n < total; n++) sink.write(line);
    await turn();
    sink.write(`last\n`);
    let got = "";
    const more = (): string => {
      got += readAll(reader);
      return got;
    };
    await expect.poll(() => more().endsWith("last\n"), { timeout: 10_000 }).toBe(true);
    const told = got.split("\n").find((text) => text.startsWith("{"));
    const kept = got.split("\n").filter((text) => text.startsWith("x")).length;
    expect(JSON.parse(told ?? "{}")).toMatchObject({ level: "warn", msg: "log lines lost", lines: total - kept });
    expect(kept).toBe(4 * 1_024);
    sink.close();
    closeSync(reader);
  });

  test("holds the end of the process up for half a second, no longer", async () => {
    using folder = new TempFolder();
    const { path, reader } = await pipe(folder);
    const sink = new LineSink(path);
    sink.write("x".repeat(1_000_000));
    const began = performance.now();
    sink.close();
    expect(performance.now() - began).toBeLessThan(5_000); // it would be for ever
    closeSync(reader);
  });

  test("that goes away takes its lines with it, and nothing is thrown", async () => {
    using folder = new TempFolder();
    const { path, reader } = await pipe(folder);
    const sink = new LineSink(path);
    closeSync(reader);
    sink.write("lost\n");
    await turn();
    const again = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    sink.write("back\n");
    await turn();
    const [told, back] = readAll(again).split("\n");
    expect(JSON.parse(told ?? "{}")).toMatchObject({ msg: "log lines lost", lines: 1 });
    expect(back).toBe("back");
    sink.close();
    closeSync(again);
  });
});

test("a reader that is too slow for ever costs no more memory than what is kept for it", async () => {
  using folder = new TempFolder();
  const { path, reader } = await pipe(folder);
  const module = new URL("../../dist/worker/line-sink.js", import.meta.url).href;
  const script = `
    import { readSync } from "node:fs";
    import { LineSink } from "${module}";
    const sink = new LineSink("${path}");
    const chunk = Buffer.alloc(65536);
    const heap = () => { gc(); return process.memoryUsage().heapUsed; };
    let first;
    setInterval(() => {
      for (let n = 0; n < 100; n++) sink.write(n + "x".repeat(1000) + "\\n");
      try { readSync(3, chunk); } catch {}
    }, 5);
    setTimeout(() => { first = heap(); }, 1_500); // as much is kept as is kept at most
    setTimeout(() => { console.log(heap() - first); process.exit(0); }, 6_500);`;
  const child = spawn(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit", reader],
  });
  const [said] = child.stdout ? await once(child.stdout, "data") : [];
  expect(Number(String(said))).toBeLessThan(2_000_000); // 64 KiB each 50 ms have gone through
  closeSync(reader);
});

describe("standard error", () => {
  const module = new URL("../../dist/worker/line-sink.js", import.meta.url).href;
  const script = (body: string): string[] => [
    "--input-type=module",
    "-e",
    `import { LineSink } from "${module}"; const sink = new LineSink(); ${body}`,
  ];

  test("gets all lines that are flushed before the process exits", async () => {
    const wrote = await run(
      process.execPath,
      script(`for (let n = 0; n < 2000; n++) sink.write(n + "\\n"); sink.flush(); process.exit(7);`),
    );
    expect(wrote.code).toBe(7);
    expect(wrote.stderr.split("\n")).toHaveLength(2_001);
  });

  test("that is the same file as standard output loses no line to it", async () => {
    using folder = new TempFolder();
    const path = join(folder.path, "both");
    const file = openSync(path, "w"); // as a shell opens it for `> both 2>&1`
    const child = spawn(process.execPath, script(`sink.write("first\\n"); sink.flush(); console.log("second");`), {
      stdio: ["ignore", file, file],
    });
    await once(child, "exit");
    closeSync(file);
    expect(readFileSync(path, "utf8")).toBe("first\nsecond\n");
  });

  test.each(["a pipe", "a socket"])(
    "that several processes share by %s mixes no line with another's, however slow its reader is",
    async (kind) => {
      const body = `for (let n = 0; n < 2000; n++) sink.write(JSON.stringify({ by: process.pid, n, text: "é".repeat(n % 700) }) + "\\n");
      setInterval(() => sink.flush(), 10);`;
      const command = script(body)
        .map((word) => `'${word}'`)
        .join(" ");
      const both = `"$0" ${command} & "$0" ${command} & wait`;
      const shell = spawn(
        "bash",
        ["-c", kind === "a pipe" ? `{ ${both}; } 2>&1 >/dev/null | cat` : both, process.execPath],
        {
          stdio: ["ignore", "pipe", "pipe"],
          detached: true,
        },
      );
      const stream = kind === "a pipe" ? shell.stdout : shell.stderr;
      let text = "";
      for await (const chunk of stream) {
        text += chunk;
        await new Promise((resolve) => setTimeout(resolve, 2)); // slower than they write
        if (text.split("\n").length > 4_000) break;
      }
      process.kill(-(shell.pid ?? 0), "SIGKILL");
      const told = text
        .split("\n")
        .slice(0, 4_000)
        .map((line) => JSON.parse(line));
      for (const pid of new Set(told.map(({ by }) => by)))
        expect(told.flatMap(({ by, n }) => (by === pid ? [n] : []))).toEqual(
          Array.from({ length: 2_000 }, (_, n) => n),
        );
    },
  );

  test("that nobody reads neither stops the process nor its end", async () => {
    const child = spawn(
      process.execPath,
      script(`for (let n = 0; n < 2000; n++) sink.write("x".repeat(1000) + "\\n");
      setTimeout(() => { console.log("alive"); sink.flush(); process.exit(0); }, 100);`),
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    child.stderr.pause();
    const [said] = await once(child.stdout, "data");
    expect(String(said)).toBe("alive\n");
    expect(await once(child, "exit")).toEqual([0, null]);
    child.stderr.destroy();
  });
});
