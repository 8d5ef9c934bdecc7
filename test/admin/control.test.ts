import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openControl } from "../../src/admin/control.ts";
import type { Started } from "../../src/worker/run-gateway.ts";
import { controlPath } from "../../src/worker/state-dir.ts";
import { readAll } from "../support/client.ts";
import { TempFolder } from "../worker/temp-folder.ts";

let folder: TempFolder;
let control: Awaited<ReturnType<typeof openControl>>;

beforeEach(async () => {
  folder = new TempFolder({});
  const gateway = { generation: 1, listening: [] };
  control = await openControl(folder.path, { operator: { gateway } } as unknown as Started, "1.2.3");
});
afterEach(() => {
  control.close();
  folder[Symbol.dispose]();
});

async function said(line: string): Promise<string> {
  const socket = connect(controlPath(folder.path));
  await once(socket, "connect");
  socket.write(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`);
  return String(await readAll(socket));
}

test.each([
  ["GET // HTTP/1.1", 400, "expected a path"],
  ["GET //[ HTTP/1.1", 400, "expected a path"],
  ["GET /nothing HTTP/1.1", 404, "there is no GET /nothing"],
  ["GET /version HTTP/1.1", 200, "1.2.3"],
])("%s is answered with %i", async (line, status, text) => {
  const answer = await said(line);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).toContain(text);
  expect(await said("GET /version HTTP/1.1")).toContain("200 OK");
});
