/** A test on one field of a sniffed protocol: text where `*` stands for any run of characters, a RegExp, or a function. */
export type Condition<Value = string> = string | RegExp | ((value: Value) => boolean);

/**
 * Compiles a condition once, so that a session pays for the test alone. An absent field never fulfils a text or RegExp.
 * A number or boolean means just itself.
 */
export function fulfils<Value>(condition: Condition<Value> | number | boolean): (value: Value | undefined) => boolean {
  if (typeof condition === "number" || typeof condition === "boolean") return (value) => value === condition;
  if (typeof condition === "function") return (value) => value !== undefined && condition(value) === true;
  if (condition instanceof RegExp) {
    const stateless = new RegExp(condition.source, condition.flags.replace(/[gy]/g, ""));
    return (value) => value !== undefined && stateless.test(String(value));
  }
  if (!condition.includes("*")) return (value) => value !== undefined && String(value) === condition;
  return (value) => value !== undefined && globMatches(condition, String(value));
}

/** `*` by backtracking to the last star only: linear in practice, never exponential, whatever a client sends. */
function globMatches(glob: string, text: string): boolean {
  let star = -1;
  let resume = 0;
  let inGlob = 0;
  for (let inText = 0; inText < text.length; ) {
    if (glob[inGlob] === "*") {
      star = inGlob++;
      resume = inText;
    } else if (glob[inGlob] === text[inText]) {
      inGlob++;
      inText++;
    } else if (star >= 0) {
      inGlob = star + 1;
      inText = ++resume;
    } else {
      return false;
    }
  }
  while (glob[inGlob] === "*") inGlob++;
  return inGlob === glob.length;
}

/** A text that fulfils the condition, where one can be told from it: for a sniffer's examples. */
export function exampleOf(condition: Condition<never> | undefined, fallback: string): string {
  return typeof condition === "string" ? condition.replaceAll("*", "x") : fallback;
}
