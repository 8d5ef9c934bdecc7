// The hooks of gateway.yaml: each export is a phase.
import { type LogSession, reject, type Session } from "restyconf";

export function access(session: Session): ReturnType<typeof reject> | undefined {
  return session.remote.host === "192.0.2.1" ? reject("not today") : undefined;
}

export function log({ protocol, upstream, endCause }: LogSession): void {
  console.log(`${protocol ?? "unknown"} to ${upstream ?? "nobody"}: ${endCause}`);
}
