/** IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. */
const FRACTION = 2 ** 10;
const BIAS = 15;
const SPECIAL = 31; // the exponent of infinities and of what is no number
const LEAST_NORMAL = 2 ** -14;
const LEAST = 2 ** -24;
/** What is this large would be rounded up to more than the largest, 65,504. */
const TOO_LARGE = 65_520;
const SIGN = 0x8000;
const INFINITE = 0x7c00;
const NOT_A_NUMBER = 0x7e00;

/** The number that 16 bits stand for; Node 20 cannot read them. */
export function decodeFloat16(bits: number): number {
  const sign = bits & SIGN ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * LEAST;
  if (exponent === SPECIAL) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / FRACTION) * 2 ** (exponent - BIAS);
}

/** The 16 bits nearest to a number, ties to even; undefined for one that is too large. */
export function encodeFloat16(value: number): number | undefined {
  if (Number.isNaN(value)) return NOT_A_NUMBER;
  const sign = value < 0 || Object.is(value, -0) ? SIGN : 0;
  const size = Math.abs(value);
  if (size === Number.POSITIVE_INFINITY) return sign | INFINITE;
  if (size >= TOO_LARGE) return undefined;
  if (size < LEAST_NORMAL) return sign | roundToEven(size / LEAST);
  const exponent = exponentOf(size);
  const fraction = roundToEven((size / 2 ** exponent - 1) * FRACTION); // one too many goes over into the exponent
  return sign | (((exponent + BIAS) << 10) + fraction);
}

/** The logarithm is rounded, also up to the next integer. */
function exponentOf(size: number): number {
  const guess = Math.floor(Math.log2(size));
  return 2 ** guess > size ? guess - 1 : guess;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest === 0.5) return floor + (floor % 2);
  return rest < 0.5 ? floor : floor + 1;
}
