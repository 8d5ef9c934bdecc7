import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell, tellWith } from "../support/operated.ts";
import { freePorts } from "../support/service.ts";
import { TempFolder } from "../worker/temp-folder.ts";

// How the command line finds a gateway, and what a gateway leaves on disk: nothing that a stranger could have a hand in.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

interface Version {
  readonly stateDir?: string;
  readonly listen?: string;
  readonly more?: string;
}

function config({ stateDir = "", listen = "127.0.0.1:0", more = "" }: Version = {}): string {
  return `import { defineGateway, otherwise, reject } from "restyconf";
    export default defineGateway({
      ${stateDir && `stateDir: "${stateDir}",`} ${more}
      servers: { edge: { listen: "${listen}", routes: [otherwise(reject("x"))] } },
    });`;
}

describe("commands reach a gateway", () => {
  test.each([
    ["a service's environment from a login", {}, { XDG_RUNTIME_DIR: "own" }],
    ["the place that both know", { XDG_RUNTIME_DIR: "own" }, { XDG_RUNTIME_DIR: "own" }],
  ])("by %s", async (_, started, asked) => {
    using places = new TempFolder({ "own/x": "" });
    const inPlace = ({ XDG_RUNTIME_DIR }: { XDG_RUNTIME_DIR?: string }): Record<string, string> => ({
      XDG_RUNTIME_DIR: XDG_RUNTIME_DIR ? join(places.path, XDG_RUNTIME_DIR) : "",
    });
    await using gateway = await Gateway.start(config(), { env: inPlace(started) });
    expect(await tellWith(inPlace(asked), gateway, "status")).toMatchObject({ code: 0, stderr: "" });
  });

  test("by the stateDir of its configuration where no folder is common to both", async () => {
    using places = new TempFolder({ "here/x": "", "there/x": "" });
    const env = { XDG_RUNTIME_DIR: join(places.path, "here"), TMPDIR: join(places.path, "here") };
    await using gateway = await Gateway.start(config({ stateDir: "state" }), { env });
    const other = { XDG_RUNTIME_DIR: join(places.path, "there"), TMPDIR: join(places.path, "there") };
    expect(await tellWith(other, gateway, "status")).toMatchObject({ code: 0, stderr: "" });
  });

  test("also after another one could not start with another stateDir", async () => {
    const [port = 0] = await freePorts(1);
    const listen = `127.0.0.1:${port}`;
    await using gateway = await Gateway.start(config({ stateDir: "state", listen }));
    const path = join(gateway.folder, "restyconf.config.ts");
    writeFileSync(path, config({ stateDir: "another", listen }));
    await expect(Gateway.startFile(path)).rejects.toThrow(/exit 3/);
    writeFileSync(path, "not readable at the moment");
    expect(await tell(gateway, "status")).toMatchObject({ code: 0, stderr: "" });
  });

  test("that is named by an argument", async () => {
    await using gateway = await Gateway.start(config({ stateDir: "state" }));
    const child = spawn(process.execPath, [CLI, "status", join(gateway.folder, "restyconf.config.ts")]);
    child.stdout.resume();
    expect((await once(child, "exit"))[0]).toBe(0);
  });
});

describe("a private folder", () => {
  test.each([
    ["is a link to another one", (place: string, victim: string) => symlinkSync(victim, place)],
    [
      "is open to others",
      (place: string) => {
        mkdirSync(place);
        chmodSync(place, 0o777);
      },
    ],
  ])("that %s is not used, and stays as it is", async (_, prepare) => {
    using places = new TempFolder({ "run/x": "", "tmp/x": "", "victim/x": "" });
    const victim = join(places.path, "victim");
    chmodSync(victim, 0o755);
    const place = join(places.path, "run/restyconf");
    prepare(place, victim);
    const modes = (): number[] => [victim, place].map((path) => statSync(path).mode);
    const before = modes();
    const env = { XDG_RUNTIME_DIR: join(places.path, "run"), TMPDIR: join(places.path, "tmp") };
    await using gateway = await Gateway.start(config(), { env });
    expect(modes()).toEqual(before);
    expect([readdirSync(victim), readdirSync(place)].flat().filter((name) => name !== "x")).toEqual([]);
    expect(await tellWith(env, gateway, "status")).toMatchObject({ code: 0 }); // there is another place
  });

  test("that a stranger has put where everybody may write is not used, and the gateway serves without", async () => {
    using places = new TempFolder({ "tmp/x": "", "victim/x": "" });
    const victim = join(places.path, "victim");
    chmodSync(victim, 0o755);
    const { uid } = userInfo();
    symlinkSync(victim, join(places.path, `tmp/restyconf-${uid}`));
    const env = { XDG_RUNTIME_DIR: "", TMPDIR: join(places.path, "tmp") };
    await using gateway = await Gateway.start(config(), { env });
    expect(statSync(victim).mode & 0o777).toBe(0o755);
    expect(readdirSync(victim)).toEqual(["x"]);
    if (uid !== 0)
      // root has /run/restyconf
      expect(await gateway.line((line) => line["msg"] === "no private folder")).toMatchObject({ level: "warn" });
    expect(await gateway.stop("SIGTERM")).toBe(0);
  });
});

describe("a state folder", () => {
  test("holds the pid of the process that hears signals, for as long as it lives; its private folder goes with it", async () => {
    using place = new TempFolder({ x: "" });
    const env = { XDG_RUNTIME_DIR: place.path };
    await using gateway = await Gateway.start(config({ stateDir: "state", more: "workers: 2," }), { env });
    const path = join(gateway.folder, "state/restyconf.pid");
    await eventually(() => expect(readFileSync(path, "utf8")).toBe(`${gateway.process.pid}\n`));
    await gateway.stop("SIGTERM");
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(join(place.path, "restyconf"))).toEqual([]);
  });

  test("whose path is too long for a socket has none, there or elsewhere", async () => {
    const stateDir = `state/${"x".repeat(110)}`;
    await using gateway = await Gateway.start(config({ stateDir }));
    const line = await gateway.line((one) => one["msg"] === "commands cannot reach this gateway, signals can");
    expect(line["reason"]).toMatch(/control\.sock: \d+ bytes, but a socket's path has 107 at most/);
    expect(readdirSync(join(gateway.folder, "state"))).toEqual(["x".repeat(110)]);
    await eventually(() => expect(readdirSync(join(gateway.folder, stateDir))).toEqual(["restyconf.pid"]));
  });
});

describe("signals before a gateway serves", () => {
  test("HUP waits until it does", async () => {
    using folder = new TempFolder({
      "c.mjs": `import { existsSync, writeFileSync } from "node:fs";
        import { setTimeout as sleep } from "node:timers/promises";
        import { otherwise, reject } from "restyconf";
        const at = (name) => import.meta.dirname + "/" + name;
        const init = async () => { writeFileSync(at("pid"), String(process.pid)); while (!existsSync(at("go"))) await sleep(5); };
        export default { phases: { init }, servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(reject("x"))] } } };`,
    });
    const starting = Gateway.startFile(join(folder.path, "c.mjs"));
    const pid = await eventually(() => {
      const pid = Number(readFileSync(join(folder.path, "pid"), "utf8"));
      expect(pid).toBeGreaterThan(0);
      return pid;
    });
    process.kill(pid, "SIGHUP");
    folder.write("go", "");
    await using gateway = await starting;
    await gateway.line((line) => line["msg"] === "reload done");
  });

  test("TERM while workers start leaves no unix socket behind", async () => {
    using folder = new TempFolder({});
    const socket = join(folder.path, "edge.sock");
    const more = `workers: 2, phases: { initWorker: () => new Promise((resolve) => setTimeout(resolve, 2_000)) },`;
    folder.write("c.ts", config({ listen: `unix:${socket}`, more }));
    const child = spawn(process.execPath, [CLI, "start", join(folder.path, "c.ts")], { stdio: "ignore" });
    const exited = once(child, "exit");
    await eventually(() => expect(existsSync(socket)).toBe(true));
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
    expect(existsSync(socket)).toBe(false);
  });
});
