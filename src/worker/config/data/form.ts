import * as v from "valibot";
import type { Action } from "../../../stream/action.ts";
import { dispatch, proxy, reject } from "../../../stream/action.ts";
import { on, otherwise, type Route, silent } from "../../../stream/route.ts";
import { ConfigError } from "../config-error.ts";
import type { DataFile } from "../load-config.ts";
import type { Forms } from "../schema/gateway.ts";
import { limits } from "../schema/limits.ts";
import { gatewayPhases, serverPhases } from "../schema/phases.ts";
import { type KnownNames, refusal, serverName, upstreamName } from "../schema/route.ts";
import {
  either,
  isRecord,
  made,
  maybe,
  milliseconds,
  oneOf,
  type Schema,
  shape,
  status,
  text,
} from "../schema/schema.ts";
import { conditionsOf, snifferName } from "./sniffers.ts";
import { balancerData, registryData } from "./upstream.ts";

const WHAT =
  "a route: { on, when, proxy }, with silentMs or otherwise instead of on, reject or dispatch instead of proxy";

const rejectData = either<Action>((input) => (isRecord(input) ? rejectObject : rejectReason));
const rejectReason = made(text("a reason"), (reason) => reject(reason));
const rejectObject = made(
  shape("{ reason, status, retryAfterMs, redirect }", { ...refusal, status: maybe(status) }),
  (written) => reject(written.reason, written),
);

/** A route as data: `{ on: "mqtt", when: { clientId: "bot-*" }, proxy: "broker" }`. */
export function routeData(names: KnownNames): Schema<Route> {
  const proxyAction = made(upstreamName(names), (name): Action => proxy(name));
  const dispatchAction = made(serverName(names), (name): Action => dispatch(name));
  const actions = {
    proxy: maybe(proxyAction),
    reject: maybe(rejectData),
    dispatch: maybe(dispatchAction),
    limits: maybe(limits),
  };
  return either<Route>((input) => {
    if (!isRecord(input)) return made(shape(WHAT, {}), () => otherwise(reject("")));
    if ("silentMs" in input) {
      return made(shape(WHAT, { silentMs: milliseconds(0), ...actions }), (route) =>
        silent(route.silentMs, actionOf(route), route),
      );
    }
    if ("otherwise" in input) {
      return made(shape(WHAT, { otherwise: oneOf(true), ...actions }), (route) => otherwise(actionOf(route), route));
    }
    const entries = { on: snifferName, when: conditionsOf(input["on"]), ...actions };
    return made(shape(WHAT, entries), (route) => on(route.when, actionOf(route), route));
  });
}

interface Actions {
  readonly proxy?: Action;
  readonly reject?: Action;
  readonly dispatch?: Action;
}

function actionOf({ proxy, reject, dispatch }: Actions): Action {
  const [action, ...more] = [proxy, reject, dispatch].filter((given) => given !== undefined);
  if (action && more.length === 0) return action;
  throw new TypeError(`expected one of proxy, reject and dispatch, got ${action ? more.length + 1 : "none"}`);
}

/** How JSON and YAML write what code makes with functions. */
export function dataForms(names: KnownNames, modules: DataFile["modules"]): Forms {
  return {
    server: { route: routeData(names), phases: fromModule(modules, serverPhases) },
    upstream: { balancer: balancerData, registryPeers: registryData },
    phases: fromModule(modules, gatewayPhases),
  };
}

/** Hooks as the path of a module whose exports they are: `phases: "./hooks.ts"`. */
function fromModule<Phases>(modules: DataFile["modules"], phases: Schema<Phases>): Schema<Phases> {
  const exports = made(text("the path of a module"), (path): unknown => {
    const found = modules.get(path);
    if (found instanceof ConfigError) throw new TypeError(found.lines.join("; "));
    return found;
  });
  return v.pipe(exports, phases);
}
