import { type TranscriptEvent, transcriptText } from "./transcript.ts";

/** Why a run failed by its scripts: they wait for what never comes, or something else came. Its message shows the transcript. */
export class RunError extends Error {
  override readonly name = "RunError";
  /** What had happened until then. */
  readonly transcript: readonly TranscriptEvent[];

  constructor(reason: string, transcript: readonly TranscriptEvent[]) {
    const text = transcriptText(transcript);
    super(`${reason}\n${text === "" ? "nothing had happened" : text}`);
    this.transcript = [...transcript];
  }
}
