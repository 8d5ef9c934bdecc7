/** How a protocol calls a status: its own code for some, else one for all refusals and one for all that failed (5xx). */
export interface StatusTable<Code> {
  readonly exact: Readonly<Record<number, Code>>;
  readonly refused: Code;
  readonly failed: Code;
}

/** The protocol's code for a status. */
export function codeOf<Code>({ exact, refused, failed }: StatusTable<Code>, status: number): Code {
  return exact[status] ?? (status >= 500 ? failed : refused);
}
