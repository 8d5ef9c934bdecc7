import { readJsonObject } from "../../codecs/json-object.ts";

/** A member's name: in JSON a quote behind a comma or a brace begins a string, as those within strings have a backslash before them. */
const UNTIL = /[{,]\s*"until"\s*:/;

/**
 * Keys that nobody refreshes, by what they begin with: they are put back when Redis has lost them, and so it is to be known which are for
 * ever. Those whose value says when they end tell it themselves. Asked for each value of each walk.
 */
export const OWNERLESS: Readonly<Record<string, (value: string) => boolean>> = {
  "ban:": (value) => !hasUntil(value),
};

/** What may have objects in one another is parsed. To parse all, of 100,000, takes a tenth of a second. */
function hasUntil(value: string): boolean {
  if (!value.includes('"until"')) return false;
  if (value.startsWith("{") && !value.includes("{", 1) && UNTIL.test(value)) return true;
  return readJsonObject(value)?.["until"] !== undefined;
}
