import { latin1 } from "../latin1.ts";
import { type HeaderField, IS_TOKEN } from "./fields.ts";
import { FRAMING_HEADERS } from "./framing.ts";

/** Headers to look at, in every phase that shows a head. Names are compared without regard to case. */
export interface HeaderView {
  /** The value; those of several lines joined by `, ` (for `Set-Cookie` ask {@link getAll}: its values have commas). */
  get(name: string): string | undefined;
  /** The value of each line. */
  getAll(name: string): readonly string[];
  has(name: string): boolean;
  /** All lines in their order, names as they are written. */
  entries(): IterableIterator<HeaderField>;
}

/** Headers to change, in `phases.headerFilter`. Each method throws TypeError for what would break the message. */
export interface HeaderEditor extends HeaderView {
  /** Gives one line this value, in the place of the first that has the name, and removes the others. */
  set(name: string, value: string): void;
  /** Adds a line behind all others. */
  add(name: string, value: string): void;
  /** Removes all lines of this name, and says whether there was one. */
  delete(name: string): boolean;
}

/** A line, and where it stands in the head as it came; undefined: it is new. */
interface Line {
  readonly name: string;
  readonly value: string;
  readonly place: number | undefined;
}

/** RFC 9110 §5.5, one character per byte. A CR or LF would begin a header, or a body, of somebody else's. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The header lines of one head, which remembers which of them are untouched. */
export class Headers implements HeaderEditor {
  #lines: Line[];
  /** Some line is not as it came. */
  isEdited = false;

  constructor(fields: readonly HeaderField[]) {
    this.#lines = fields.map(([name, value], place) => ({ name, value, place }));
  }

  get(name: string): string | undefined {
    const values = this.getAll(name);
    return values.length > 1 ? values.join(", ") : values[0];
  }

  getAll(name: string): readonly string[] {
    const key = name.toLowerCase();
    return this.#lines.filter((line) => line.name.toLowerCase() === key).map(({ value }) => value);
  }

  has(name: string): boolean {
    const key = name.toLowerCase();
    return this.#lines.some((line) => line.name.toLowerCase() === key);
  }

  *entries(): IterableIterator<HeaderField> {
    for (const { name, value } of this.#lines) yield [name, value];
  }

  set(name: string, value: string): void {
    const key = name.toLowerCase();
    const line = newLine(name, value);
    const first = this.#lines.findIndex((other) => other.name.toLowerCase() === key);
    const others = this.#lines.filter((other) => other.name.toLowerCase() !== key);
    const place = first === -1 ? others.length : first; // none of this name stood in front of the first
    this.#lines = [...others.slice(0, place), line, ...others.slice(place)];
    this.isEdited = true;
  }

  add(name: string, value: string): void {
    this.#lines.push(newLine(name, value));
    this.isEdited = true;
  }

  delete(name: string): boolean {
    const key = changeable(name).toLowerCase();
    const before = this.#lines.length;
    this.#lines = this.#lines.filter((line) => line.name.toLowerCase() !== key);
    this.isEdited ||= this.#lines.length < before;
    return this.#lines.length < before;
  }

  /** Says that the body is in chunks, or ends with the connection: for who changes the body, too. */
  reframe(as: "chunked" | "close"): void {
    this.#lines = this.#lines.filter(({ name }) => !FRAMING_HEADERS.has(name.toLowerCase()));
    this.isEdited = true;
    if (as === "close") this.set("Connection", "close");
    else this.#lines.push({ name: "Transfer-Encoding", value: "chunked", place: undefined });
  }

  /** The lines as text, each with its end; `came` are those of the head as it came. */
  text(came: readonly string[]): string {
    const lines = this.#lines.map(({ name, value, place }) => {
      return (place === undefined ? undefined : came[place]) ?? `${name}: ${value}\r\n`;
    });
    return lines.join("");
  }
}

/** A head with these headers, all else as it came; `firstLine` takes the place of its own. */
export function editedHead(bytes: Uint8Array, headers: Headers, firstLine?: string): Buffer {
  const [came = "", ...lines] = linesOf(latin1(bytes));
  const end = lines.at(-1) ?? "\r\n"; // the empty line
  return Buffer.from(`${firstLine ?? came}${headers.text(lines)}${end}`, "latin1");
}

/** Lines with their ends; by hand, because splitting behind a match takes three times as long. */
function linesOf(text: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at) + 1 || text.length;
    lines.push(text.slice(at, end));
    at = end;
  }
  return lines;
}

function newLine(name: string, value: string): Line {
  if (typeof value !== "string" || !VALUE.test(value)) {
    throw new TypeError(`header ${changeable(name)}: a value is text without line ends, control or wide characters`);
  }
  return { name: changeable(name), value, place: undefined };
}

/** @throws TypeError for what is no name, and for the headers that tell where the body ends. */
function changeable(name: string): string {
  if (name === "" || ![...name].every((character) => IS_TOKEN[character.charCodeAt(0)])) {
    throw new TypeError(`header ${JSON.stringify(name)}: not a name`);
  }
  if (FRAMING_HEADERS.has(name.toLowerCase())) {
    throw new TypeError(`header ${name}: it tells where the body ends, and the body stays as it is`);
  }
  return name;
}
