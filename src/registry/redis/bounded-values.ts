import { MAX_VALUE_BYTES } from "../registry.ts";
import { type RedisScript, redisScript } from "./redis-link.ts";

/** Values that are read in one step: some milliseconds of Redis' time, and of ours. */
const STEP_BYTES = 4 * 1_024 * 1_024;

/** All values that one question is answered with; the rest is ignored. 100,000 keys of 300 bytes. */
const MAX_READ_BYTES = 32 * 1_024 * 1_024;

/** Keys in a warning each; more of them say nothing new. */
const MAX_WARNINGS = 100;

/** Answers a value, its length where it is too long, or false; as \`MGET\` does, what is no text is none. Fewer: ask on from there. */
export const READ: RedisScript = redisScript(`
local found, short, places, size = {}, {}, {}, 0
for at, key in ipairs(KEYS) do
  local length = redis.pcall('STRLEN', key)
  found[at] = false
  if type(length) ~= 'number' then -- of another type
  elseif length > tonumber(ARGV[1]) then found[at] = length
  else
    short[#short + 1] = key
    places[#places + 1] = at
    size = size + length
  end
  if size > tonumber(ARGV[2]) then break end
end
if #short > 0 then
  for index, value in ipairs(redis.call('MGET', unpack(short))) do found[places[index]] = value end
end
return found`);

/** What {@link READ} is run with. */
export const READ_LIMITS: readonly number[] = [MAX_VALUE_BYTES, STEP_BYTES];

/** Says what was not read, once each. */
export class Ignored {
  readonly #warn: (event: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly #said = new Set<string>();

  constructor(warn: (event: string, fields: Readonly<Record<string, unknown>>) => void) {
    this.#warn = warn;
  }

  tooLong(key: string, bytes: number): void {
    this.#say(key, "value is ignored: too long", { key, bytes, max: MAX_VALUE_BYTES });
  }

  tooMuch(key: string): void {
    this.#say("", "values are ignored: too many", { from: key, max: MAX_READ_BYTES });
  }

  #say(name: string, event: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#said.has(name) || this.#said.size >= MAX_WARNINGS) return;
    this.#said.add(name);
    this.#warn(event, fields);
  }
}

/** The answers to one question, as long as they are not too much together. */
export class Values {
  readonly #ignored: Ignored;
  readonly #found: (string | undefined)[] = [];
  #bytes = 0;

  constructor(ignored: Ignored) {
    this.#ignored = ignored;
  }

  get found(): readonly (string | undefined)[] {
    return this.#found;
  }

  /** What {@link READ} has answered about the next key. */
  add(key: string, answer: unknown): void {
    this.#found.push(this.#valueOf(key, answer));
  }

  #valueOf(key: string, answer: unknown): string | undefined {
    if (typeof answer === "number") this.#ignored.tooLong(key, answer);
    if (typeof answer !== "string") return undefined;
    this.#bytes += answer.length;
    if (this.#bytes <= MAX_READ_BYTES) return answer;
    this.#ignored.tooMuch(key);
    return undefined;
  }
}
