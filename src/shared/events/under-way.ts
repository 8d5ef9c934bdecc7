import { MAX_EVENTS_UNDER_WAY, MAX_LENGTH_UNDER_WAY } from "./message.ts";

interface Sized {
  readonly topic: string;
  readonly data: string;
}

/** Collects what one turn of the event loop sends through a channel into one message, and says when the channel is full. */
export class UnderWay<Event extends Sized> {
  readonly #send: (events: readonly Event[], done: () => void) => void;
  #batch: Event[] = [];
  #count = 0;
  #length = 0;

  constructor(send: (events: readonly Event[], done: () => void) => void) {
    this.#send = send;
  }

  /** False: the channel is full. */
  add(event: Event): boolean {
    const length = event.topic.length + event.data.length;
    if (this.#count >= MAX_EVENTS_UNDER_WAY || this.#length + length > MAX_LENGTH_UNDER_WAY) return false;
    this.#count++;
    this.#length += length;
    if (this.#batch.push(event) === 1) queueMicrotask(() => this.#flush());
    return true;
  }

  #flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    const length = batch.reduce((sum, { topic, data }) => sum + topic.length + data.length, 0);
    this.#send(batch, () => {
      this.#count -= batch.length;
      this.#length -= length;
    });
  }
}
