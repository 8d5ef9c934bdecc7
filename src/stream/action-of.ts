import { GatewayError } from "../errors.ts";
import type { Action } from "./action.ts";
import type { Phase } from "./session.ts";

const KINDS: ReadonlySet<unknown> = new Set<Action["kind"]>(["proxy", "content", "reject", "dispatch"]);

/** What a hook returned: an action or nothing. No compiler saw the value where the hook is JavaScript. */
export function actionOf(phase: Phase, returned: unknown): Action | undefined {
  if (returned === undefined || returned === null) return undefined;
  if (isAction(returned)) return returned;
  throw new GatewayError("RC_HOOK_FAILED", `${phase}: returned no action but ${typeof returned}`);
}

function isAction(value: unknown): value is Action {
  return typeof value === "object" && value !== null && "kind" in value && KINDS.has(value.kind);
}
