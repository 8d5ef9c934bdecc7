import type { GatewayPhases } from "../../../gateway.ts";
import type { ServerPhases } from "../../../stream/session.ts";
import { checked, type Entries, either, hook, isRecord, maybe, type Schema, type Shaped, shape } from "./schema.ts";

const WHAT = "an object of functions";

const serverHooks = {
  sslCertificate: maybe(hook<NonNullable<ServerPhases["sslCertificate"]>>()),
  preread: maybe(hook<NonNullable<ServerPhases["preread"]>>()),
  access: maybe(hook<NonNullable<ServerPhases["access"]>>()),
  balancer: maybe(hook<NonNullable<ServerPhases["balancer"]>>()),
  log: maybe(hook<NonNullable<ServerPhases["log"]>>()),
};

const gatewayHooks = {
  init: maybe(hook<NonNullable<GatewayPhases["init"]>>()),
  initWorker: maybe(hook<NonNullable<GatewayPhases["initWorker"]>>()),
};

/** Hooks of a server. */
export const serverPhases: Schema<ServerPhases> = phases(serverHooks);

/** Hooks of the gateway. */
export const gatewayPhases: Schema<GatewayPhases> = phases(gatewayHooks);

function phases<const Hooks extends Entries>(hooks: Hooks): Schema<Shaped<Hooks>> {
  const plain = shape(WHAT, hooks);
  const isHook = (value: unknown): boolean => value === undefined || typeof value === "function";
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
