/** The smallest dictionary, as OpenResty's smallest zone: less has no room for anything but itself. */
export const MIN_DICT_BYTES: number = 8 * 1024;

/** The largest dictionary: its 32-bit words can still be numbered by small integers, which keeps access fast. */
export const MAX_DICT_BYTES: number = 4 * 1024 ** 3;

const SIZE = /^(\d{1,15})([kmg]?)$/i;
const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/**
 * Turns a size as nginx writes it (`"10m"`, `"512k"`, `"1g"`, `"65536"`) into bytes. Any phase. OpenResty: `lua_shared_dict`.
 * @throws TypeError for what is no size, and for less than 8k or more than 4g
 */
export function dictBytesOf(size: string): number {
  const [, digits, unit = ""] = SIZE.exec(size) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (bytes >= MIN_DICT_BYTES && bytes <= MAX_DICT_BYTES) return bytes;
  throw new TypeError(`invalid shared dict size "${size}": expected "8k" to "4g", like "10m"`);
}
