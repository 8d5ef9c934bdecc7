// No proxy at all: what the rest costs. Its CPU time is that of the server behind.

/** @returns {import("../contestants.mjs").Contestant} */
export function direct() {
  return {
    name: "direct",
    title: "direct",
    about: "client to server, nothing between; the CPU time is the server's own",
    isPeer: true,
    claims: { halfClose: true, reset: true },
    can: (lane) => !lane.terminates,
    programs: () => [],
  };
}
