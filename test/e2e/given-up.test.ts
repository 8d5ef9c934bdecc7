import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { tell, tellWith } from "../support/operated.ts";

// A reload that was given up while it was being loaded: nothing more of it begins, and the next one has nothing to do with it.

interface Version {
  readonly says?: string;
  readonly workers?: number;
  /** At the top of the module. */
  readonly top?: string;
  readonly phases?: string;
}

/** Answers each line with its name. */
function config({ says = "a", workers = 1, top = "", phases = "" }: Version): string {
  return `import { existsSync } from "node:fs";
    import { content, defineGateway, otherwise } from "restyconf";
    const told = (what) => console.error(JSON.stringify(what));
    const isWorker = process.send !== undefined;
    const waits = async (at) => {
      told({ waits: at });
      while (!existsSync(import.meta.dirname + "/go")) await new Promise((resolve) => setTimeout(resolve, 5));
      told({ goesOn: at });
    };
    ${top}
    const talk = content(async (session) => {
      const { err } = await session.reader.receive();
      if (!err) await session.write("${says}\\n");
    });
    export default defineGateway({
      stateDir: "state", workers: ${workers}, phases: { ${phases} },
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(talk)] } },
    });`;
}

function hang(gateway: Gateway, version: Version): void {
  writeFileSync(join(gateway.folder, "restyconf.config.ts"), config(version));
  gateway.process.kill("SIGHUP");
}

/** Resolves with the next word on a reload. */
async function reloaded(gateway: Gateway, version: Version): Promise<LogLine> {
  const before = gateway.log.length;
  hang(gateway, version);
  return ended(gateway, before);
}

function ended(gateway: Gateway, after = 0): Promise<LogLine> {
  return gateway.line(
    (line) => /^reload (?:done|failed)$/.test(String(line["msg"])) && gateway.log.indexOf(line) >= after,
  );
}

const HOOKS = ["init", "check", "initWorker"];

/** All hooks tell that they run; one of them waits for a file. */
function phases(waiting?: string): string {
  const hooks = HOOKS.map((hook) => {
    const waits = hook === waiting ? `await waits("${hook}");` : "";
    return `${hook}: async () => { told({ runs: "${hook}" }); ${waits} }`;
  });
  return hooks.join(", ");
}

const TOP = { top: `await waits("its module");`, phases: phases() };
const TOP_IN_WORKER = { top: `if (isWorker) await waits("its module there");`, phases: phases() };

test.each([
  ["its module", 1, TOP, []],
  ["its module", 2, TOP, []],
  ["its module there", 2, TOP_IN_WORKER, ["init", "check"]],
  ["init", 1, { phases: phases("init") }, ["init"]],
  ["check", 1, { phases: phases("check") }, ["init", "check"]],
  ["initWorker", 1, { phases: phases("initWorker") }, HOOKS],
])(
  "what is given up while it waits for %s in a gateway of %i begins no further hook",
  async (at, workers, version, begun) => {
    await using gateway = await Gateway.start(config({ workers }));
    hang(gateway, { says: "b", workers, ...version });
    await gateway.line((line) => line["waits"] === at);
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 1 });
    expect(await ended(gateway)).toMatchObject({ reason: "a rollback was asked for meanwhile" });
    writeFileSync(join(gateway.folder, "go"), "");
    await gateway.line((line) => line["goesOn"] === at);
    expect(await reloaded(gateway, { says: "c", workers })).toMatchObject({ msg: "reload done" });
    expect(await exchange(gateway.port(), "?\n")).toBe("c\n");
    expect(gateway.log.flatMap(({ runs }) => runs ?? [])).toEqual(begun);
  },
);

/** A module that nobody has read to its end before {@link finish}. Resolves when somebody reads it. */
function pipe(path: string): Promise<FileHandle> {
  execFileSync("mkfifo", [path]);
  return open(path, "w");
}

async function finish(module: FileHandle): Promise<void> {
  await module.write("void import.meta.url;"); // such a text is read but once
  await module.close();
}

test("a bundle of a reload that was given up may end at any time, and the next one's is made all the same", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "restyconf-e2e-"));
  const bundles = (): readonly string[] => readdirSync(scratch).filter((name) => name.startsWith("restyconf-module-"));
  try {
    await using gateway = await Gateway.start(config({}), { env: { TMPDIR: scratch } });
    mkdirSync(join(gateway.folder, "parts"));
    const first = pipe(join(gateway.folder, "parts/first.ts"));
    hang(gateway, { says: "b", top: `import "./parts/first.ts";` });
    const inFirst = await first;
    expect(await tellWith({ TMPDIR: scratch }, gateway, "rollback")).toMatchObject({ code: 1 });
    const before = gateway.log.length;
    const second = pipe(join(gateway.folder, "parts/second.ts"));
    hang(gateway, { says: "c", top: `import "./parts/second.ts";` });
    const inSecond = await second;
    expect(bundles()).toHaveLength(2);
    await finish(inFirst);
    await eventually(() => expect(bundles()).toHaveLength(1));
    await finish(inSecond);
    expect(await ended(gateway, before)).toMatchObject({ msg: "reload done" });
    expect(await exchange(gateway.port(), "?\n")).toBe("c\n");
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
