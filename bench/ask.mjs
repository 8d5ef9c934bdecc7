// Asks a running gateway as its command line does: HTTP over the unix socket in its folder.
import { request } from "node:http";

/** @typedef {{ tookNs: number, answer: Record<string, unknown> }} Asked `tookNs`: from the question to the last byte of the answer */

/**
 * @param {string} socketPath
 * @param {string} question e.g. `POST /reload`
 * @returns {Promise<Asked>} rejects where the gateway says no, with its reason
 */
export function ask(socketPath, question) {
  const [method, path] = question.split(" ");
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const asked = request({ socketPath, method, path, agent: false }, (response) => {
      /** @type {Buffer[]} */
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const tookNs = (performance.now() - began) * 1e6; // the answer is read afterwards, on our own time
        const answer = JSON.parse(Buffer.concat(chunks).toString());
        if (response.statusCode === 200) resolve({ tookNs, answer });
        else reject(new Error(`${question}: ${answer.error}`));
      });
    });
    asked.on("error", reject);
    asked.end();
  });
}
