/** Where the gateway writes: application events, and one access line per session. */
export interface Log {
  debug(event: string, fields?: Readonly<Record<string, unknown>>): void;
  info(event: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
  error(event: string, fields?: Readonly<Record<string, unknown>>): void;
  /** One line of JSON, without line end; not even made where access lines go nowhere. */
  access(line: () => string): void;
}
