import type { Awaitable, FilterSession } from "../session.ts";
import { ChunkStage } from "./chunk-stage.ts";
import type { HttpBodyFilter } from "./http-body.ts";
import { httpBodyStages } from "./http-body-stages.ts";
import type { FilterSide, Stage, Stages } from "./stage.ts";

/** Text is UTF-8. The bytes are the gateway's from then on: change them no more. */
export type Bytes = Uint8Array | string;

/** What becomes of a chunk: these bytes in its place, nothing (`null`), or the chunk as it is (`undefined`). */
// biome-ignore lint/suspicious/noConfusingVoidType: a filter may end without return
export type Filtered = Bytes | readonly Bytes[] | null | undefined | void;

/**
 * A filter of raw bytes in `phases.bodyFilter`, called with each chunk as the network brought it: where one begins and ends means
 * nothing. While it waits, its direction stands still, and the other one flows.
 */
export type ChunkFilter = (chunk: Buffer, session: FilterSession) => Awaitable<Filtered>;

/** A {@link ChunkFilter} that also hears of its direction's end. */
export interface ChunkFilterWithEnd {
  chunk(chunk: Buffer, session: FilterSession): Awaitable<Filtered>;
  /** No chunk will follow; returns last bytes, for a filter that holds some back. The end is passed on behind them. */
  end?(session: FilterSession): Awaitable<Filtered>;
}

/** A filter that keeps a state of its own for each session, as {@link frames} makes it. */
export interface StageFilter {
  readonly kind: "stage";
  stage(session: FilterSession, from: FilterSide): Stage;
}

/** A filter of one direction. */
export type Filter = ChunkFilter | ChunkFilterWithEnd | StageFilter | HttpBodyFilter;

/** `phases.bodyFilter`: sees and changes bytes while they are relayed. Several filters of a direction work one behind the other. */
export interface BodyFilter {
  /** For bytes that come from the client. */
  readonly client?: Filter | readonly Filter[] | undefined;
  /** For bytes that come from the peer. */
  readonly upstream?: Filter | readonly Filter[] | undefined;
}

/** Both, the first in front of the second in both directions: the hooks of the gateway and those of a server. */
export function joinFilters(first: BodyFilter | undefined, second: BodyFilter | undefined): BodyFilter | undefined {
  const client = [...filtersOf(first?.client), ...filtersOf(second?.client)];
  const upstream = [...filtersOf(first?.upstream), ...filtersOf(second?.upstream)];
  return client.length + upstream.length > 0 ? { client, upstream } : undefined; // none: nobody takes the bytes over
}

/** Makes the filters' stages for one session. */
export function stagesOf(filter: BodyFilter, session: FilterSession): Stages {
  const up = filtersOf(filter.client).map((each) => stagesOfOne(each, session, "client"));
  const down = filtersOf(filter.upstream).map((each) => stagesOfOne(each, session, "upstream"));
  const taps = [...up, ...down];
  return {
    up: [...up.flatMap(({ stage }) => stage ?? []), ...taps.flatMap((each) => each.tapUp ?? [])],
    down: [...taps.flatMap((each) => each.tapDown ?? []), ...down.flatMap(({ stage }) => stage ?? [])],
  };
}

/** What one filter makes. Taps change nothing, and stand next to the peer. */
export interface FilterStages {
  readonly stage?: Stage;
  readonly tapUp?: Stage;
  readonly tapDown?: Stage;
}

function filtersOf(filters: Filter | readonly Filter[] | undefined): readonly Filter[] {
  if (filters === undefined) return [];
  return isList(filters) ? filters : [filters];
}

function isList(filters: Filter | readonly Filter[]): filters is readonly Filter[] {
  return Array.isArray(filters);
}

function stagesOfOne(filter: Filter, session: FilterSession, from: FilterSide): FilterStages {
  if (typeof filter === "function") return { stage: new ChunkStage({ chunk: filter }, session) };
  if (!("kind" in filter)) return { stage: new ChunkStage(filter, session) };
  return filter.kind === "stage" ? { stage: filter.stage(session, from) } : httpBodyStages(filter, session, from);
}

/** True for what may stand in `phases.bodyFilter.client` or `.upstream`, but for a list. */
export function isFilter(value: unknown): value is Filter {
  if (typeof value === "function") return true;
  if (typeof value !== "object" || value === null) return false;
  if ("kind" in value && value.kind === "httpBody") return "hooks" in value;
  if ("kind" in value) return value.kind === "stage" && "stage" in value && typeof value.stage === "function";
  if (!("chunk" in value) || typeof value.chunk !== "function") return false;
  return !("end" in value) || value.end === undefined || typeof value.end === "function";
}
