import { joinFilters } from "./filter/body-filter.ts";
import { isPending } from "./hooks.ts";
import type { Awaitable, ServerPhases } from "./session.ts";

/** The hooks of a server as the engine calls them: without `this`, those of the gateway in front. */
export type Hooks = { readonly [Phase in keyof ServerPhases]?: ServerPhases[Phase] | undefined };

/** No phase is forgotten here. */
type AllHooks = { readonly [Phase in keyof Hooks]-?: Hooks[Phase] };

/**
 * Joins the hooks of the gateway and of one server: the gateway's run first. The first that decides ends its phase, so that the
 * server's is not asked any more; `log` and the filters run all. nginx's handlers of one phase.
 */
export function joinPhases(gateway: ServerPhases, server: ServerPhases): Hooks {
  const joined: AllHooks = {
    sslClientHello: firstOf(gateway.sslClientHello?.bind(gateway), server.sslClientHello?.bind(server)),
    sslCertificate: firstOf(gateway.sslCertificate?.bind(gateway), server.sslCertificate?.bind(server)),
    preread: firstOf(gateway.preread?.bind(gateway), server.preread?.bind(server)),
    set: { ...gateway.set, ...server.set },
    rewrite: firstOf(gateway.rewrite?.bind(gateway), server.rewrite?.bind(server)),
    access: firstOf(gateway.access?.bind(gateway), server.access?.bind(server)),
    balancer: firstOf(gateway.balancer?.bind(gateway), server.balancer?.bind(server)),
    upstreamCertificate: firstOf(gateway.upstreamCertificate?.bind(gateway), server.upstreamCertificate?.bind(server)),
    upstreamVerify: firstOf(gateway.upstreamVerify?.bind(gateway), server.upstreamVerify?.bind(server)),
    headerFilter: inTurn(gateway.headerFilter?.bind(gateway), server.headerFilter?.bind(server)),
    bodyFilter: joinFilters(gateway.bodyFilter, server.bodyFilter),
    log: bothOf(gateway.log?.bind(gateway), server.log?.bind(server)),
  };
  return Object.freeze(joined);
}

type Hook<Parameters extends unknown[], Result> = ((...parameters: Parameters) => Awaitable<Result>) | undefined;

/** Asks the second only when the first has decided nothing. */
export function firstOf<Parameters extends unknown[], Result>(
  first: Hook<Parameters, Result>,
  second: Hook<Parameters, Result>,
): Hook<Parameters, Result> {
  if (!first || !second) return first ?? second;
  return (...parameters) => {
    const decided = first(...parameters);
    const next = (last: Result): Awaitable<Result> => last ?? (hasExited(parameters) ? last : second(...parameters));
    return isPending(decided) ? decided.then(next) : next(decided); // a task is waited for, too
  };
}

/** An exit that the first hook has caught ends the session all the same. */
function hasExited([session]: readonly unknown[]): boolean {
  return typeof session === "object" && session !== null && "exited" in session && session.exited !== undefined;
}

/** Runs both, one after the other; the second only when the first has not failed. */
export function inTurn<Parameters extends unknown[]>(
  first: Hook<Parameters, unknown>,
  second: Hook<Parameters, unknown>,
): Hook<Parameters, unknown> {
  if (!first || !second) return first ?? second;
  return (...parameters) => {
    const running = first(...parameters);
    return isPending(running) ? running.then(() => second(...parameters)) : second(...parameters);
  };
}

/** Runs both, one after the other; the second also when the first fails. */
export function bothOf<Parameters extends unknown[]>(
  first: Hook<Parameters, unknown>,
  second: Hook<Parameters, unknown>,
): Hook<Parameters, unknown> {
  if (!first || !second) return first ?? second;
  return async (...parameters) => {
    try {
      await first(...parameters);
    } finally {
      await second(...parameters);
    }
  };
}
