import { request } from "node:http";
import { messageOf } from "../errors.ts";
import { controlPath } from "../worker/state-dir.ts";

/** What was asked of a gateway was not done; the message says why. */
export class AskError extends Error {
  override readonly name: string = "AskError";
}

/** No gateway answers there. */
export class NotRunning extends AskError {
  override readonly name = "NotRunning";
}

/** Asks the gateway whose folder that is, e.g. `POST /reload`. @throws NotRunning; AskError with what the gateway says against it */
export function ask(stateDir: string, question: string): Promise<Readonly<Record<string, unknown>>> {
  const [method, path] = question.split(" ");
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: controlPath(stateDir), method, path, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const body: Record<string, unknown> = JSON.parse(Buffer.concat(chunks).toString());
        if (response.statusCode === 200) resolve(body);
        else reject(new AskError(String(body["error"])));
      });
    });
    asked.on("error", (cause) => reject(new NotRunning(`no gateway answers: ${messageOf(cause)}`, { cause })));
    asked.end();
  });
}
