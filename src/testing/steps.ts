import type { Step } from "./party.ts";
import type { PartyTls } from "./party-tls.ts";

/** Sends bytes; text is UTF-8. */
export function send(bytes: string | Uint8Array): Step {
  return (party) => party.send(bytes);
}

/** Waits for so many bytes, or for these very ones; without argument, for anything. */
export function receive(wanted?: number | string | Uint8Array): Step {
  return (party) => (wanted === undefined ? party.receive() : party.receive(wanted));
}

/** Does nothing for a while, by the clock of the run. */
export function wait(ms: number): Step {
  return (party) => party.wait(ms);
}

/** Ends its side, behind these bytes. */
export function end(bytes?: string | Uint8Array): Step {
  return (party) => party.end(bytes);
}

/** Breaks the connection off. */
export function reset(): Step {
  return (party) => party.reset();
}

/** Speaks TLS from here on. */
export function startTls(options?: PartyTls): Step {
  return (party) => party.startTls(options);
}

/** Says what it hears, until the gateway ends its side; then it ends its own. */
export function echo(): Step {
  return async (party) => {
    for (let bytes = await party.receive(); bytes.length > 0; bytes = await party.receive()) await party.send(bytes);
  };
}
