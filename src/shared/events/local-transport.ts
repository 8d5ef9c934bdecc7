import type { EventDelivery, EventTransport } from "./message.ts";
import type { EventRelay } from "./relay.ts";

/** A way to a relay in the same process. */
export interface LocalTransport extends EventTransport {
  /** Nothing comes any more. */
  leave(): void;
}

/** Joins a relay in the same process: what the only worker of a gateway uses. Events are delivered later, as between processes. */
export function localTransport(relay: EventRelay, number: number): LocalTransport {
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
    leave: () => member.leave(),
  };
}
