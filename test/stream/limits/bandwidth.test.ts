import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { type Bucket, type Buckets, NodeBucket, nodeBuckets } from "../../../src/stream/bucket.ts";
import { type Membership, SharedBandwidth } from "../../../src/stream/limits/bandwidth.ts";
import { pacesOf, Throttle } from "../../../src/stream/throttle.ts";

// Several processes are several SharedBandwidth on one dictionary: they meet nowhere else.

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const RATE = 100_000;
const BURST = RATE / 10;
const HUGE = 1_000_000_000;

function openDict(size = "1m"): SharedDict {
  const { dict } = openDicts({ dict: size }).dicts;
  if (!dict) throw new Error("it was opened above");
  return dict;
}

/** A session that moves what it wants to, down, as fast as it may. */
class Busy {
  moved = 0;
  readonly #member: Membership;
  readonly #throttle: Throttle;
  readonly #wanted: number;

  constructor(bandwidth: SharedBandwidth, wanted = HUGE, rate = RATE) {
    this.#wanted = wanted;
    this.#throttle = new Throttle(() => this.#go());
    this.#member = bandwidth.join("key", { down: rate }, nodeBuckets);
    this.#throttle.set(pacesOf({ buckets: [this.#member.bucket] }).down);
    this.#go();
  }

  get isDone(): boolean {
    return this.moved === this.#wanted;
  }

  /** In reads of 16 kB, as sockets have them. */
  #go(): void {
    while (!this.#throttle.isWaiting && !this.isDone) {
      this.moved += this.#throttle.take(Math.min(this.#wanted - this.moved, 16_384));
    }
  }

  leave(): void {
    this.#throttle.stop();
    this.#member.leave();
  }
}

const idle = (bandwidth: SharedBandwidth): Membership => bandwidth.join("key", { down: RATE }, nodeBuckets);
const sum = (all: readonly Busy[]): number => all.reduce((total, { moved }) => total + moved, 0);

/** Lets time pass, and answers what these have moved in it, in parts of what the key may move. */
function part(busy: readonly Busy[], ms: number): number {
  const before = sum(busy);
  vi.advanceTimersByTime(ms);
  return ((sum(busy) - before) * 1_000) / ms / RATE;
}

describe("the rate of a key", () => {
  test("is all there for one session, after what may go at once", () => {
    const bandwidth = new SharedBandwidth(openDict());
    const busy = new Busy(bandwidth);
    expect(busy.moved).toBe(BURST);
    vi.advanceTimersByTime(5_000);
    expect(busy.moved).toBeLessThanOrEqual(5 * RATE + BURST);
    expect(busy.moved).toBeGreaterThan(4.9 * RATE);
  });

  test.each([
    ["one process", 1],
    ["two processes in turn", 2],
  ])("is not exceeded by short sessions one after the other, in %s", (_name, processes) => {
    const dict = openDict();
    const all = Array.from({ length: processes }, () => new SharedBandwidth(dict));
    let moved = 0;
    let session: Busy | undefined;
    for (let ms = 0, count = 0; ms < 5_000; ) {
      const bandwidth = all[count % all.length];
      session ??= bandwidth && new Busy(bandwidth, 4_000);
      if (session?.isDone) {
        moved += session.moved;
        session.leave();
        session = undefined;
        count++;
      } else {
        vi.advanceTimersByTime(1);
        ms++;
      }
    }
    expect(moved).toBeLessThanOrEqual(5 * RATE + BURST);
    expect(moved).toBeGreaterThan(4 * RATE);
  });

  test("is not exceeded by a crowd that comes at once, nor by those who wake up at once", () => {
    const bandwidth = new SharedBandwidth(openDict());
    const crowd = Array.from({ length: 500 }, () => new Busy(bandwidth));
    vi.advanceTimersByTime(3_000);
    expect(sum(crowd)).toBeLessThanOrEqual(3 * RATE + BURST);
    expect(sum(crowd)).toBeGreaterThan(2.8 * RATE);
    for (const session of crowd) session.leave();
  });

  test("is not exceeded, nor lost, where others come, are promised some, and go again before they have it", () => {
    const bandwidth = new SharedBandwidth(openDict());
    const all = [new Busy(bandwidth), new Busy(bandwidth)];
    for (let ms = 0; ms < 3_000; ms += 10) {
      for (let time = 0; time < 5; time++) new Busy(bandwidth).leave();
      vi.advanceTimersByTime(10);
      expect(sum(all)).toBeLessThanOrEqual(((ms + 10) * RATE) / 1_000 + BURST);
    }
    expect(part(all, 2_000)).toBeGreaterThan(0.95); // as soon as they come no more
  });

  test("comes to the last one, too, when all before him have given back what they were promised", () => {
    const bandwidth = new SharedBandwidth(openDict());
    const others = Array.from({ length: 100 }, () => new Busy(bandwidth));
    const last = new Busy(bandwidth, 1_000);
    for (const other of others) other.leave();
    vi.advanceTimersByTime(2_000);
    expect(last.isDone).toBe(true);
  });

  test("is shared equally by those who want it, however greedy, and whoever comes last", () => {
    const bandwidth = new SharedBandwidth(openDict());
    const all = Array.from({ length: 20 }, () => new Busy(bandwidth));
    vi.advanceTimersByTime(1_000);
    all.push(new Busy(bandwidth));
    const before = all.map(({ moved }) => moved);
    vi.advanceTimersByTime(20_000);
    const moved = all.map((session, at) => session.moved - (before[at] ?? 0));
    expect(Math.min(...moved) / Math.max(...moved)).toBeGreaterThan(0.9);
  });

  test("is there at once for one who was silent, among others who take all", () => {
    const bandwidth = new SharedBandwidth(openDict());
    for (let time = 0; time < 10; time++) new Busy(bandwidth);
    vi.advanceTimersByTime(3_000);
    const late = new Busy(bandwidth, 200);
    vi.advanceTimersByTime(300);
    expect(late.isDone).toBe(true);
  });

  test("that has changed holds for those who wait", () => {
    const bandwidth = new SharedBandwidth(openDict());
    const busy = new Busy(bandwidth, HUGE, 1_000);
    vi.advanceTimersByTime(1_000);
    expect(busy.moved).toBeLessThanOrEqual(1_000 + 4_096);
    idle(bandwidth); // of a new generation, with another rate
    expect(part([busy], 1_000)).toBeGreaterThan(0.85);
  });

  test("of a direction without one is none", () => {
    const { bucket } = idle(new SharedBandwidth(openDict()));
    bucket.pay(HUGE);
    const { up } = bucket.look();
    expect([up.rate, up.served >= up.taken]).toEqual([Number.POSITIVE_INFINITY, true]);
  });
});

describe("several processes", () => {
  test("have all where the others are idle, within two seconds", () => {
    const dict = openDict();
    const [here, there] = [new SharedBandwidth(dict), new SharedBandwidth(dict)];
    for (let time = 0; time < 9; time++) idle(here);
    const busy = new Busy(there);
    vi.advanceTimersByTime(2_000);
    expect(part([busy], 2_000)).toBeGreaterThan(0.85);
  });

  test("have equal parts where their sessions want the same, and give on what they do not use any more", () => {
    const dict = openDict();
    const [here, there] = [new SharedBandwidth(dict), new SharedBandwidth(dict)];
    const one = new Busy(here);
    const other = new Busy(there);
    vi.advanceTimersByTime(2_000);
    for (const busy of [one, other]) expect(part([busy], 2_000)).toBeGreaterThan(0.4);
    other.leave();
    vi.advanceTimersByTime(1_500);
    expect(part([one], 2_000)).toBeGreaterThan(0.97);
  });

  test("have parts by how many of their sessions want more", () => {
    const dict = openDict();
    const [here, there] = [new SharedBandwidth(dict), new SharedBandwidth(dict)];
    const many = Array.from({ length: 9 }, () => new Busy(here));
    const few = [new Busy(there)];
    vi.advanceTimersByTime(3_000);
    const before = sum(few);
    const most = part(many, 5_000);
    expect(most).toBeGreaterThan(0.75);
    expect(sum(few)).toBeGreaterThan(before + 5 * RATE * 0.07);
  });

  test("never have more than the rate and one burst together, whoever comes and goes", () => {
    const dict = openDict();
    const all = Array.from({ length: 4 }, () => new SharedBandwidth(dict));
    const open: Busy[] = [];
    let gone = 0;
    for (let ms = 0; ms < 6_000; ms += 5) {
      const bandwidth = all[Math.floor(Math.random() * all.length)];
      if (bandwidth && Math.random() < 0.2) open.push(new Busy(bandwidth, Math.random() * 20_000));
      const [first] = open;
      if (first && (first.isDone || Math.random() < 0.05)) {
        open.shift();
        gone += first.moved;
        first.leave();
      }
      vi.advanceTimersByTime(5);
      expect(gone + sum(open)).toBeLessThanOrEqual(((ms + 5) * RATE) / 1_000 + BURST);
    }
    expect(gone + sum(open)).toBeGreaterThan(3 * RATE);
  });

  test("that have died have no part after a second", () => {
    const dict = openDict();
    const dead = new Set<string>();
    let serial = 0;
    const owners = { newToken: () => `owner${serial++}`, hasOwnerEnded: (token: string) => dead.has(token) };
    new Busy(new SharedBandwidth(dict, owners));
    const busy = new Busy(new SharedBandwidth(dict, owners));
    vi.advanceTimersByTime(3_000);
    const dying = serial - 2;
    dead.add(`owner${dying}`);
    dict.delete(`bandwidth:owner${dying}`);
    vi.advanceTimersByTime(2_500);
    // The dead one lives on in this test, and moves what it had; what counts is that the other has all.
    expect(part([busy], 2_000)).toBeGreaterThan(0.85);
  });

  test("leave nothing behind in the dictionary, nor a timer", () => {
    const dict = openDict();
    const all = [new SharedBandwidth(dict), new SharedBandwidth(dict)];
    const sessions = all.map((bandwidth) => new Busy(bandwidth, 1_000));
    vi.advanceTimersByTime(1_000);
    for (const session of sessions) session.leave();
    vi.advanceTimersByTime(1_500);
    expect(dict.keys()).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("go on where somebody else uses the key, or the dictionary has no room", () => {
    const dict = openDict();
    dict.rpush("key", "foreign");
    expect(part([new Busy(new SharedBandwidth(dict))], 1_000)).toBeGreaterThan(0.9);
    const full = openDict("100k");
    full.set("key", "also foreign");
    expect(part([new Busy(new SharedBandwidth(full))], 1_000)).toBeGreaterThan(0.9);
  });

  test("whose book is flushed share the rate again after a minute", () => {
    const dict = openDict();
    const all = [new SharedBandwidth(dict), new SharedBandwidth(dict)].map((bandwidth) => new Busy(bandwidth));
    vi.advanceTimersByTime(1_000);
    dict.flushAll();
    vi.advanceTimersByTime(62_000);
    expect(part(all, 2_000)).toBeLessThanOrEqual(1.05);
    expect(part(all, 2_000)).toBeGreaterThan(0.9);
  });
});

describe("what it costs", () => {
  /** Counts what is asked of a bucket and of the dictionary. */
  function counted(onLook = () => {}) {
    const counts = { opens: 0, closes: 0, looks: 0, fills: 0, calls: 0 };
    const open = (): Bucket => {
      const bucket = new NodeBucket();
      counts.opens++;
      return {
        fill: (filling) => {
          counts.fills++;
          bucket.fill(filling);
        },
        look: () => {
          counts.looks++;
          onLook();
          return bucket.look();
        },
        pay: (bytes) => bucket.pay(bytes),
        close: () => {
          counts.closes++;
        },
      };
    };
    const buckets: Buckets = { open };
    const dict = new Proxy(openDict("40m"), {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]): unknown => {
          counts.calls++;
          return Reflect.apply(member, target, args);
        };
      },
    });
    return { counts, buckets, dict };
  }

  test("nothing per session but to join and to leave: a key's sessions are one to the dictionary", () => {
    const { counts, buckets, dict } = counted();
    const bandwidth = new SharedBandwidth(dict);
    const first = bandwidth.join("key", { down: RATE }, buckets);
    const before = { ...counts };
    const others = Array.from({ length: 50_000 }, () => bandwidth.join("key", { down: RATE }, buckets));
    for (const { leave } of others) leave();
    expect(counts).toEqual(before);
    vi.advanceTimersByTime(1_000);
    expect(counts.looks).toBe(before.looks);
    expect(counts.calls - before.calls).toBeLessThanOrEqual(20); // whether somebody calls, and the book that is due
    first.leave();
  });

  test("next to nothing for keys that no other process has: their books are written anew within a minute", () => {
    const { counts, buckets, dict } = counted();
    const bandwidth = new SharedBandwidth(dict);
    for (let key = 0; key < 20_000; key++) bandwidth.join(`key${key}`, { down: RATE }, buckets);
    const before = { ...counts };
    vi.advanceTimersByTime(1_000);
    expect(counts.looks).toBe(before.looks);
    expect(counts.fills).toBe(before.fills);
    expect(counts.calls - before.calls).toBeLessThan(1_000);
  });

  test("a bounded memory, however many keys come and go", () => {
    vi.useRealTimers();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    let ms = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => ms);
    const { counts, buckets, dict } = counted();
    const bandwidth = new SharedBandwidth(dict);
    for (let key = 0; key < 20_000; key++) {
      bandwidth.join(`key${key}`, { down: RATE }, buckets).leave();
      ms += 0.1; // no turn comes to it: the process has too much to do
    }
    clock.mockRestore();
    expect(counts.opens - counts.closes).toBeLessThanOrEqual(10_001); // what has come in the last second
  });

  test("no more than two milliseconds at a time, for keys that others have, too", () => {
    vi.useRealTimers();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    const clock = vi.spyOn(performance, "now").mockImplementation(() => ms);
    let ms = 0;
    const { counts, buckets, dict } = counted(() => {
      ms += 0.1; // so slow is it to look
    });
    const all = [new SharedBandwidth(dict), new SharedBandwidth(dict)];
    for (let key = 0; key < 1_000; key++) {
      for (const bandwidth of all) bandwidth.join(`key${key}`, { down: RATE }, buckets);
    }
    const looks = Array.from({ length: 200 }, () => {
      const before = counts.looks;
      ms += 100;
      vi.advanceTimersByTime(100);
      return counts.looks - before;
    });
    clock.mockRestore();
    expect(Math.max(...looks)).toBeLessThanOrEqual(2 * 30); // two processes; each part of a turn may do one more
    expect(looks.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(2_000);
  });
});
