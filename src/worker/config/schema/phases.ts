import type { GatewayPhases } from "../../../gateway.ts";
import { type BodyFilter, type Filter, isFilter } from "../../../stream/filter/body-filter.ts";
import type { ServerPhases, SetVariable } from "../../../stream/session.ts";
import {
  byName,
  checked,
  type Entries,
  either,
  hook,
  isRecord,
  list,
  maybe,
  type Schema,
  type Shaped,
  shape,
} from "./schema.ts";

const WHAT = "an object of functions";

const filter = checked(isFilter, "a function, { chunk, end }, frames(…) or httpBody(…)");
const filters = either<Filter | readonly Filter[]>((input) =>
  Array.isArray(input) ? list(filter, "a list of filters") : filter,
);
const bodyFilter: Schema<BodyFilter> = shape("{ client, upstream }", {
  client: maybe(filters),
  upstream: maybe(filters),
});

const serverHooks = {
  sslClientHello: maybe(hook<NonNullable<ServerPhases["sslClientHello"]>>()),
  sslCertificate: maybe(hook<NonNullable<ServerPhases["sslCertificate"]>>()),
  preread: maybe(hook<NonNullable<ServerPhases["preread"]>>()),
  set: maybe(byName(hook<SetVariable>(), "an object of functions by name")),
  rewrite: maybe(hook<NonNullable<ServerPhases["rewrite"]>>()),
  access: maybe(hook<NonNullable<ServerPhases["access"]>>()),
  balancer: maybe(hook<NonNullable<ServerPhases["balancer"]>>()),
  upstreamCertificate: maybe(hook<NonNullable<ServerPhases["upstreamCertificate"]>>()),
  upstreamVerify: maybe(hook<NonNullable<ServerPhases["upstreamVerify"]>>()),
  headerFilter: maybe(hook<NonNullable<ServerPhases["headerFilter"]>>()),
  bodyFilter: maybe(bodyFilter),
  log: maybe(hook<NonNullable<ServerPhases["log"]>>()),
};

const gatewayHooks = {
  ...serverHooks,
  init: maybe(hook<NonNullable<GatewayPhases["init"]>>()),
  check: maybe(hook<NonNullable<GatewayPhases["check"]>>()),
  initWorker: maybe(hook<NonNullable<GatewayPhases["initWorker"]>>()),
  exitWorker: maybe(hook<NonNullable<GatewayPhases["exitWorker"]>>()),
};

/** Hooks of a server. */
export const serverPhases: Schema<ServerPhases> = phases(serverHooks);

/** Hooks of the gateway. */
export const gatewayPhases: Schema<GatewayPhases> = phases(gatewayHooks);

function phases<const Hooks extends Entries>(hooks: Hooks): Schema<Shaped<Hooks>> {
  const plain = shape(WHAT, hooks);
  const isHook = (value: unknown): boolean => value === undefined || typeof value === "function" || isRecord(value);
  const instance = checked(
    (value): value is Shaped<Hooks> => isRecord(value) && Object.keys(hooks).every((name) => isHook(value[name])),
    WHAT,
  );
  return either((input) => (isInstance(input) ? instance : plain));
}

/** An object of the user's own class. Its methods need it as `this`, so it is not copied, and it may have other things. */
function isInstance(input: unknown): boolean {
  if (!isRecord(input)) return false;
  const prototype: unknown = Object.getPrototypeOf(input);
  return prototype !== null && prototype !== Object.prototype;
}
