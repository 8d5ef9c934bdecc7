import { spawnSync } from "node:child_process";

/** A value on its way to Python and back: JSON has neither bytes nor exact numbers. */
export type Carried = readonly ["i" | "f" | "s" | "?", string];

/** A format, and values to pack; without them only the format is judged. */
export interface Question {
  readonly format: string;
  readonly values?: readonly Carried[];
}

/** What Python's struct says of it; no `hex` where it refuses the values, no `size` where it refuses the format. */
export interface Answer {
  readonly size?: number;
  readonly hex?: string;
  readonly unpacked?: readonly Carried[];
}

const SCRIPT = `
import json, struct, sys

def come(kind, text):
    if kind == "i": return int(text)
    if kind == "f": return struct.unpack(">d", bytes.fromhex(text))[0]
    return bytes.fromhex(text) if kind == "s" else text == "true"

def go(value):
    if isinstance(value, bool): return ["?", "true" if value else "false"]
    if isinstance(value, int): return ["i", str(value)]
    return ["f", struct.pack(">d", value).hex()] if isinstance(value, float) else ["s", value.hex()]

def answer(question):
    try: said = {"size": struct.calcsize(question["format"])}
    except struct.error: return {}
    if "values" not in question: return said
    try: packed = struct.pack(question["format"], *[come(*value) for value in question["values"]])
    except (struct.error, OverflowError, TypeError): return said
    said["hex"] = packed.hex()
    said["unpacked"] = [go(value) for value in struct.unpack(question["format"], packed)]
    return said

json.dump([answer(question) for question in json.load(sys.stdin)], sys.stdout)
`;

/** Asks the struct module of python3 itself, about all at once. */
export function askPython(questions: readonly Question[]): readonly Answer[] {
  const run = spawnSync("python3", ["-c", SCRIPT], {
    input: JSON.stringify(questions),
    encoding: "utf8",
    maxBuffer: 2 ** 30,
    timeout: 300_000,
  });
  if (run.status !== 0) throw new Error(`python3: ${run.error ?? run.stderr}`);
  const answers: Answer[] = JSON.parse(run.stdout);
  return answers;
}
