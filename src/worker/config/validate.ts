import * as v from "valibot";
import type { GatewayConfig } from "../../gateway.ts";
import { ConfigError } from "./config-error.ts";
import { dataForms } from "./data/form.ts";
import type { Place } from "./data/parse.ts";
import { unknownKey } from "./expectation.ts";
import { formatPath, type KeyPath } from "./key-path.ts";
import type { DataFile, Loaded } from "./load-config.ts";
import { type Forms, gatewaySchema } from "./schema/gateway.ts";
import { gatewayPhases, serverPhases } from "./schema/phases.ts";
import { type KnownNames, routeObject } from "./schema/route.ts";
import { isRecord } from "./schema/schema.ts";
import { balancerObject, registryObject } from "./schema/upstream.ts";
import { shortPath } from "./source-place.ts";

/**
 * Checks everything about a configuration that can be known without opening files and ports, and gives it back frozen,
 * data turned into what code would have written. Objects of the user (balancers, stores, sniffers) stay as they are.
 * @throws ConfigError with all faults, each with the path of its key
 */
export function validate(loaded: Loaded): GatewayConfig {
  const { config, data } = loaded;
  const names = { upstreams: namesIn(config, "upstreams"), servers: namesIn(config, "servers") };
  const forms = data ? dataForms(names, data.modules) : codeForms(names);
  const result = v.safeParse(gatewaySchema(forms), config);
  if (result.success) return result.output;
  const lines = result.issues.map((issue) => lineOf(issue, data));
  throw new ConfigError(inOrder(lines, shortPath(loaded.path)));
}

function namesIn(config: unknown, key: string): readonly string[] {
  const named = isRecord(config) ? config[key] : undefined;
  return isRecord(named) ? Object.keys(named) : [];
}

function codeForms(names: KnownNames): Forms {
  return {
    server: { route: routeObject(names), phases: serverPhases },
    upstream: { balancer: balancerObject, registryPeers: registryObject },
    phases: gatewayPhases,
  };
}

interface Line {
  readonly text: string;
  readonly place?: Place;
}

function lineOf(issue: v.BaseIssue<unknown>, data: DataFile | undefined): Line {
  const path = (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));
  const isUnknown = issue.type === "never";
  const text = isUnknown ? unknownKey(String(path.at(-1)), issue.message.split(" ").filter(Boolean)) : issue.message;
  const line = { text: `${path.length > 0 ? `${formatPath(asWritten(path))}: ` : ""}${text}` };
  return data ? { ...line, place: data.positions(path, isUnknown ? "key" : "value") } : line;
}

/** In data the faults come in the order of the file, each with its place. */
function inOrder(lines: readonly Line[], file: string): readonly string[] {
  return lines
    .toSorted((left, right) => rank(left) - rank(right))
    .map(({ text, place }) => (place ? `${file}:${place.line}:${place.col}: ${text}` : text));
}

function rank({ place }: Line): number {
  return place ? place.line * MAX_COLUMN + place.col : 0;
}

const MAX_COLUMN = 2 ** 21; // beyond the size of any file that is read

/** In code, `on(http(), proxy("web"))` has no keys; its parts are called as in data. */
function asWritten(path: KeyPath): KeyPath {
  const [action, field] = path.slice(-2);
  if (action !== "action") return path;
  if (field === "upstream") return [...path.slice(0, -2), "proxy"];
  return field === "server" ? [...path.slice(0, -2), "dispatch"] : path;
}
