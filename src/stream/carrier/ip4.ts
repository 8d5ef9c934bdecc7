/** No IPv4 address: 255.255.255.255, which no connection has. */
export const NO_IP4 = -1;

/** An IPv4 address out of an event, as an integer that needs no memory of its own; {@link NO_IP4}: the event has none. */
export function ip4Of(number: number): number {
  return number | 0;
}

/** Its text, made when somebody asks: most sessions end without. */
export function ip4Text(ip: number): string {
  return `${ip >>> 24}.${(ip >>> 16) & 0xff}.${(ip >>> 8) & 0xff}.${ip & 0xff}`;
}
