import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { acceptingLaws } from "./carrier/accepting.ts";
import { CarrierBench, type TestedCarrier } from "./carrier/bench.ts";
import { connectingLaws } from "./carrier/connecting.ts";
import { crowdLaws } from "./carrier/crowd.ts";
import { endingLaws } from "./carrier/ending.ts";
import { headLaws } from "./carrier/head.ts";
import { recallingLaws } from "./carrier/recalling.ts";
import { relayingLaws } from "./carrier/relaying.ts";
import { takeOverLaws } from "./carrier/take-over.ts";
import { drainLaws } from "./drain-laws.ts";
import { rateLaws } from "./rate-laws.ts";
import { recallLaws } from "./recall-laws.ts";
import { type RelayBench, type RelayBenchOptions, relayLaws } from "./relay-laws.ts";

/** What every carrier must obey: whoever accepts clients, looks at their first bytes, and carries them to a peer. */
export function carrierLaws(name: string, start: () => TestedCarrier): void {
  let bench: CarrierBench | undefined;
  const running = (): CarrierBench => {
    if (!bench) throw new Error("not started");
    return bench;
  };
  describe(name, () => {
    beforeAll(() => {
      bench = new CarrierBench(start());
    });
    afterEach(() => running().clear());
    afterAll(() => running().stop());
    acceptingLaws(running);
    headLaws(running);
    takeOverLaws(running);
    connectingLaws(running);
    relayingLaws(running);
    endingLaws(running);
    recallingLaws(running);
    crowdLaws(running);
    const make = async ({ before, idleTimeoutMs }: RelayBenchOptions): Promise<RelayBench> => {
      const says = before === "" ? {} : { says: before };
      const { relay, client, peer, incoming } = await running().relayed({ ...says, relay: { idleTimeoutMs } });
      const close = (): void => {
        relay.end("killed");
        incoming.whenClosed(() => {}); // so that its place is free then
      };
      return { relay, client, peer, close, held: () => 0 };
    };
    relayLaws("its relay", make);
    drainLaws("its relay, ended gently", make);
    rateLaws("its relay, slowed down", make);
    recallLaws("its relay, recalled", make);
  });
}
