import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { connect } from "node:tls";
import { describe, expect, test } from "vitest";
import { alert, alertDescriptions } from "../../../src/codecs/tls/alert.ts";

const versions = ["TLSv1.3", "TLSv1.2", "TLSv1"] as const;
const cases = Object.entries(alertDescriptions).flatMap(([name, description]) =>
  versions.map((version) => ({ name, description, version })),
);

test("an alert is one record of seven bytes", () => {
  expect(Buffer.from(alert(alertDescriptions.unrecognizedName)).toString("hex")).toBe("15030300020270");
});

describe("a real client understands", () => {
  test.each(cases)("$name as an answer to its $version hello", async ({ description, version }) => {
    const server = createServer((socket) =>
      socket
        .on("error", () => {})
        .resume()
        .end(alert(description)),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const range = { minVersion: version, maxVersion: version, ciphers: "DEFAULT:@SECLEVEL=0" };
    const client = connect({ host: "127.0.0.1", port, servername: "a.example", ...range });
    const [error]: Error[] = await once(client, "error");
    expect(error?.message).toMatch(new RegExp(`SSL alert number ${description}\\b`));
    client.destroy();
    server.close();
    await once(server, "close");
  });
});
