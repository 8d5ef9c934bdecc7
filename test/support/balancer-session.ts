import type { SessionFacts } from "../../src/upstream/session-facts.ts";

/** A session as a balancer sees it. */
export function sampleSession(id = "1", host = "192.0.2.1"): SessionFacts {
  return {
    id,
    server: "edge",
    protocol: undefined,
    info: undefined,
    remote: { host, port: 50_000 },
    local: { host: "127.0.0.1", port: 5_050 },
    ssl: undefined,
    ctx: {},
    vars: {},
  };
}
