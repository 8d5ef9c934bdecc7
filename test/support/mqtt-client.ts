import type { Duplex } from "node:stream";
import { generate, type Packet, parser } from "mqtt-packet";
import { eventually } from "./eventually.ts";

/** A client of MQTT 5 that keeps all packets that it is sent, and answers what it must. */
export class MqttClient {
  readonly packets: Packet[] = [];
  /** What no packet could be made of. */
  fault: Error | undefined;
  /** The other side has ended, and whether it was a clean end. */
  end: "clean" | "broken" | undefined;
  /** Bytes of a packet that is not whole. */
  unread = 0;
  /** Bytes in all, of TLS the clear text. */
  read = 0;
  written = 0;
  /** The longest time between two reads, or before the end. */
  longestRestMs = 0;
  #readAtMs: number = performance.now();
  readonly #socket: Duplex;
  readonly #version: number;

  /** Connects over a socket that is open. */
  static async over(socket: Duplex, { clientId = "test", version = 5 as 4 | 5 } = {}): Promise<MqttClient> {
    const client = new MqttClient(socket, version);
    const protocol = { cmd: "connect", protocolId: "MQTT", protocolVersion: version, clean: true } as const;
    client.send({ ...protocol, clientId, keepalive: 60 });
    await client.received("connack");
    return client;
  }

  private constructor(socket: Duplex, version: number) {
    this.#socket = socket;
    this.#version = version;
    const reader = parser({ protocolVersion: version })
      .on("packet", (packet) => this.#take(packet))
      .on("error", (cause) => {
        this.fault = cause;
      });
    socket.on("data", (chunk: Buffer) => {
      this.#rested();
      this.read += chunk.length;
      this.unread = reader.parse(chunk);
    });
    socket.once("end", () => {
      this.#rested();
      this.end ??= "clean";
      socket.end();
    });
    socket.once("close", () => {
      this.end ??= "broken";
    });
  }

  send(packet: Packet): void {
    const bytes = generate(packet, { protocolVersion: this.#version });
    this.written += bytes.length;
    this.#socket.write(bytes);
  }

  async subscribe(topic: string): Promise<void> {
    this.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 0 }] });
    await this.received("suback");
  }

  /** The first packet of this kind. */
  received<Kind extends Packet["cmd"]>(kind: Kind): Promise<Extract<Packet, { cmd: Kind }>> {
    return eventually(() => {
      const found = this.packets.find((packet): packet is Extract<Packet, { cmd: Kind }> => packet.cmd === kind);
      if (!found) throw new Error(`no ${kind} among ${this.packets.map(({ cmd }) => cmd).join(", ")}`);
      return found;
    });
  }

  async ended(): Promise<"clean" | "broken"> {
    return eventually(() => {
      if (!this.end) throw new Error("still open");
      return this.end;
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #rested(): void {
    const now = performance.now();
    this.longestRestMs = Math.max(this.longestRestMs, now - this.#readAtMs);
    this.#readAtMs = now;
  }

  #take(packet: Packet): void {
    this.packets.push(packet);
    if (packet.cmd === "publish" && packet.qos === 1) this.send({ cmd: "puback", messageId: packet.messageId ?? 0 });
  }
}
