import type { HeaderFilterSession } from "../session.ts";
import type { HeaderFilter, HeaderFilterHost } from "./header-tools.ts";
import { httpStages } from "./http-stages.ts";
import { Preface } from "./preface.ts";
import type { FilterControl, Stages } from "./stage.ts";

/** The header filter of one session, once its peer is connected. */
export interface HeaderStages {
  /** To be called when the relay has begun. */
  readonly begin?: () => void;
  /** All stages of the session, with these around those of its body filters. */
  around(body: Stages): Stages;
}

/** Makes the stages that run a header filter. For HTTP they see what the peer sees: what body filters change, is changed there. */
export function headerStages(filter: HeaderFilter, session: HeaderFilterHost, control: FilterControl): HeaderStages {
  if (isHttp(session)) {
    const { up, down } = httpStages(filter, session);
    return { around: (body) => ({ up: [...body.up, ...up], down: [...down, ...body.down] }) };
  }
  const preface = new Preface(filter, session, control);
  return {
    begin: () => preface.begin(),
    around: (body) => ({ ...body, isHeld: true }),
  };
}

/** True where there are response heads: a simple request of HTTP/0.9 is answered by none. */
export function isHttp({ protocol, info }: Pick<HeaderFilterSession, "protocol" | "info">): boolean {
  if (protocol !== "http") return false;
  const version = typeof info === "object" && info !== null && "version" in info ? info.version : undefined;
  return version !== "0.9";
}
