/** What is wrong in a configuration, one line per fault. The command line shows it and ends with 1. */
export class ConfigError extends TypeError {
  override readonly name = "ConfigError";
  readonly lines: readonly string[];

  constructor(lines: readonly string[], options?: ErrorOptions) {
    super(lines.join("\n"), options);
    this.lines = lines;
  }
}

/** What is wrong in how the command was called: a missing file, hex that is none. The command line ends with 2. */
export class UsageError extends TypeError {
  override readonly name = "UsageError";
}
