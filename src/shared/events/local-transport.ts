import type { EventDelivery, EventTransport } from "./message.ts";
import type { EventRelay } from "./relay.ts";

/** Joins a relay in the same process: what the only worker of a gateway uses. Events are delivered later, as between processes. */
export function localTransport(relay: EventRelay, number: number): EventTransport {
  let listener: (delivery: EventDelivery) => void = () => {};
  const member = relay.join(number, {
    send: (delivery, done) => {
      queueMicrotask(() => {
        listener(delivery);
        done();
      });
    },
  });
  return {
    send: (messages, done) => {
      member.receive(messages);
      done();
    },
    onMessage: (next) => {
      listener = next;
    },
  };
}
