/** Finds its way through the body of one message, however the body is cut; pure, keeps no byte. */
export interface BodyScanner {
  readonly state: "open" | "done" | "malformed";
  /** What the last step went over: the body itself, what frames it, or fields behind it with the empty line that ends them. */
  readonly span: "data" | "framing" | "trailer";
  /** Goes on from `at` over one span, or what is there of it; returns where that ends. To be asked while open, with bytes there. */
  step(bytes: Uint8Array, at: number): number;
}
