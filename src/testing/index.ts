export type { PeerScript, Peers } from "./memory-network.ts";
export type { Party, Script, Step } from "./party.ts";
export type { PartyTls, SecuredParty } from "./party-tls.ts";
export { RunError } from "./run-error.ts";
export type { AccessLine, LogEntry } from "./run-log.ts";
export type { RunOptions } from "./run-options.ts";
export { type Run, runSession } from "./run-session.ts";
export { echo, end, receive, reset, send, startTls, wait } from "./steps.ts";
export { type Happening, type TranscriptEvent, transcriptText } from "./transcript.ts";
