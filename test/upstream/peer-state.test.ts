import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fresh, isOpen, nextState, type PeerEvent, type PeerState } from "../../src/upstream/peer-state.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

const once = { maxFails: 1, failTimeoutMs: 10_000 };
const thrice = { maxFails: 3, failTimeoutMs: 10_000 };

const failed = (now: number, probe = false): PeerEvent => ({ kind: "failed", now, probe });
const ok: PeerEvent = { kind: "ok" };

function stateAfter(policy: typeof once, ...events: readonly PeerEvent[]): PeerState {
  return events.reduce((state: PeerState, event) => nextState(state, event, policy), fresh);
}

describe("a peer", () => {
  test.each([
    ["is up at first", once, [], "up"],
    ["is down after one failure with maxFails 1", once, [failed(0)], "down"],
    ["stays up below maxFails", thrice, [failed(0), failed(1)], "up"],
    ["is down at maxFails", thrice, [failed(0), failed(1), failed(2)], "down"],
    ["is down although successes lie between its failures", thrice, [failed(0), ok, failed(1), ok, failed(2)], "down"],
    ["forgets failures failTimeoutMs after the last", thrice, [failed(0), failed(1), failed(10_002)], "up"],
    ["is never down with maxFails 0", { ...once, maxFails: 0 }, [failed(0), failed(0), failed(0)], "up"],
    ["is not probed before its time", once, [failed(0), { kind: "probe", now: 9_999 }], "down"],
    ["is probed when its time is over", once, [failed(0), { kind: "probe", now: 10_000 }], "probing"],
    ["is up after a good probe", once, [failed(0), { kind: "probe", now: 10_000 }, ok], "up"],
    ["is down after a bad probe", once, [failed(0), { kind: "probe", now: 10_000 }, failed(11_000, true)], "down"],
    ["is up when a late session gets through", once, [failed(0), ok], "up"],
    [
      "goes on being probed when an earlier session fails late",
      once,
      [failed(0), { kind: "probe", now: 10_000 }, failed(10_001)],
      "probing",
    ],
    [
      "takes nothing while draining",
      once,
      [{ kind: "drain" }, ok, failed(0), { kind: "probe", now: 20_000 }],
      "draining",
    ],
    ["is up again when draining is over", once, [failed(0), { kind: "drain" }, { kind: "resume" }], "up"],
    ["does not come up by resume alone", once, [failed(0), { kind: "resume" }], "down"],
  ] as const)("%s", (_, policy, events, expected) => {
    expect(stateAfter(policy, ...events).kind).toBe(expected);
  });
  test("can be probed at once when the probing session went away", () => {
    const state = stateAfter(once, failed(0), { kind: "probe", now: 10_000 }, { kind: "abandoned", now: 10_500 });
    expect(state).toEqual({ kind: "down", retryAt: 10_500 });
    expect(isOpen(state, 10_500)).toBe(true);
  });
  test("is down for the whole time after a bad probe", () => {
    const state = stateAfter(once, failed(0), { kind: "probe", now: 10_000 }, failed(12_000, true));
    expect(isOpen(state, 21_999)).toBe(false);
    expect(isOpen(state, 22_000)).toBe(true);
  });
  test("never has room for two probes, whatever happens", () => {
    const kinds = fc.constantFrom("ok", "failed", "abandoned", "drain", "resume");
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, fc.nat(5_000)), { maxLength: 40 }), (steps) => {
        let state: PeerState = fresh;
        let now = 0;
        for (const [kind, ms] of steps) {
          now += ms;
          if (isOpen(state, now) && state.kind !== "up") {
            state = nextState(state, { kind: "probe", now }, once);
            expect(isOpen(state, now)).toBe(false);
          }
          state = nextState(state, kind === "failed" ? failed(now, true) : { kind, now }, once);
        }
      }),
      { numRuns: RUNS },
    );
  });
});
