// Nobody is measured who does not do the job. Every check goes through the contestant to the server behind.
import { banner, echo, refused, uploads } from "./gate/bytes.mjs";
import { clientResets, gluedEnd, serverEndsFirst, serverResets } from "./gate/ends.mjs";
import { comeAndGo, filesComeBack, settledFiles } from "./gate/files.mjs";

/** @typedef {{ check: string, claimed: boolean, fault: string | undefined }} Finding */

/**
 * @param {import("./field.mjs").Entrant} entrant
 * @param {number} tell port where the server behind tells how a client ended
 * @returns {Promise<Finding[]>}
 */
export async function gate({ contestant: { claims, isPeer }, lanes, pids }, tell) {
  /** @type {Finding[]} */
  const findings = [];
  const find = async (/** @type {string} */ check, /** @type {() => Promise<void>} */ run, claimed = true) => {
    const fault = await run().then(
      () => undefined,
      (/** @type {Error} */ cause) => cause.message,
    );
    findings.push({ check, claimed, fault });
  };
  await find("echo both ways", () => echo(lanes.echo));
  // Now, as the first bulk may have filled pools (pipes, say) that a proxy keeps.
  const files = await settledFiles(pids);
  await find("upload, half-close, hash", () => uploads(lanes.sum), claims.halfClose);
  await find("server speaks first", () => banner(lanes.banner));
  await find("server ends first", () => serverEndsFirst(lanes.early, tell), claims.halfClose);
  await find("1 byte + FIN", () => gluedEnd(lanes.sum, pids), claims.halfClose);
  await find("client resets", () => clientResets(lanes.witness, tell), claims.reset);
  await find("server resets", () => serverResets(lanes.reset), claims.reset);
  if (!isPeer) await find("upstream refuses", () => refused(lanes.refused));
  await find("files come back", async () => {
    await comeAndGo(lanes.echo);
    await filesComeBack(pids, files);
  });
  return findings;
}

/** What stands against publishing numbers. @param {readonly Finding[]} findings */
export function faultsOf(findings) {
  return findings.filter(({ claimed, fault }) => claimed && fault !== undefined);
}
