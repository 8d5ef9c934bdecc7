import { createHash } from "node:crypto";
import type { Action } from "../action.ts";
import type { Route } from "../route.ts";

/** Of the hash of a sniffer's examples: enough to tell the routes of one server apart. */
const HASH_CHARS = 12;

/**
 * The name under which limits of each route count. It is made of what the route asks for and does, not of its place: other routes
 * before it make no difference to who has come how often. Routes that nobody can tell apart by that are numbered.
 */
export function routeZones(server: string, routes: readonly Route[]): readonly string[] {
  const seen = new Map<string, number>();
  return routes.map((route) => {
    const text = `${askedBy(route)} ${doneBy(route.action)}`;
    const count = (seen.get(text) ?? 0) + 1;
    seen.set(text, count);
    return `${server}[${text}${count > 1 ? ` ${count}` : ""}]`;
  });
}

/** Conditions show in the examples, but for those that no example can be made of. */
function askedBy(route: Route): string {
  if (route.kind !== "on") return route.kind;
  const hash = createHash("sha256");
  for (const example of route.sniffer.examples) hash.update(`${example.length} `).update(example);
  return `${route.sniffer.name} ${hash.digest("base64url").slice(0, HASH_CHARS)}`;
}

function doneBy(action: Action): string {
  if (action.kind === "proxy") return `proxy ${action.upstream}`;
  return action.kind === "dispatch" ? `dispatch ${action.server}` : action.kind;
}
