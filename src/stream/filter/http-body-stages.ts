import { asBuffer } from "../../codecs/as-buffer.ts";
import { RequestFollower } from "../../codecs/http/request-follower.ts";
import type { FilterSession } from "../session.ts";
import type { FilterStages } from "./body-filter.ts";
import { isHttp } from "./header-filter.ts";
import type { HttpBodyFilter } from "./http-body.ts";
import { RequestTap, ResponseTap } from "./http-taps.ts";
import { RequestBodyStage } from "./request-body.ts";
import { ResponseBodyStage } from "./response-body.ts";
import type { FilterSide } from "./stage.ts";

/** The stages of a filter of HTTP bodies: none where the session is no HTTP/1. */
export function httpBodyStages({ hooks }: HttpBodyFilter, session: FilterSession, from: FilterSide): FilterStages {
  if (!isHttp(session)) return {};
  const requests = new RequestFollower();
  const tapUp = new RequestTap(requests);
  if (from === "upstream") return { stage: new ResponseBodyStage(requests, hooks, session), tapUp };
  const tapDown = new ResponseTap(requests, ({ bytes }) => asBuffer(bytes));
  return { stage: new RequestBodyStage(requests, hooks, session), tapUp, tapDown };
}
