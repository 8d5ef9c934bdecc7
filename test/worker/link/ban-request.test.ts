import { expect, test } from "vitest";
import type { Connection } from "../../../src/stream/connection.ts";
import { ban } from "../../../src/worker/link/ban-request.ts";
import { linkSession } from "../../../src/worker/link/link-sessions.ts";
import { BansRig } from "./rig.ts";

/** As much of a session as bans see; its variable counts how often it is computed, or fails. */
function session(phase: string, isDecided: boolean, compute: () => string): Connection {
  const vars = {
    get tenant() {
      return compute();
    },
  };
  return {
    id: "7",
    number: 7,
    phase,
    isDecided,
    vars,
    ctx: {},
    remote: { host: "192.0.2.1" },
  } as unknown as Connection;
}

const asked = { type: "ban", id: 1, of: { session: "7", by: "var:tenant" } } as unknown as Parameters<typeof ban>[0];

function answer(one: Connection) {
  return ban(asked, { find: () => linkSession(one) }, new BansRig());
}

test("a variable is not computed before its time, as it would be for good", async () => {
  let computed = 0;
  const compute = (): string => `acme${++computed}`;
  expect(await answer(session("preread", false, compute))).toMatchObject({ reason: "the session has no var:tenant" });
  expect(computed).toBe(0);
  expect(await answer(session("proxy", true, compute))).not.toHaveProperty("reason");
  expect(computed).toBe(1);
});

test("a variable that throws refuses the ban, and nothing else", async () => {
  const failing = session("proxy", true, () => {
    throw new Error("no tenant today");
  });
  expect(await answer(failing)).toMatchObject({ reason: "not banned: no tenant today" });
});
