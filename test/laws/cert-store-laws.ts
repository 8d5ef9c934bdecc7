import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Certificate, certificate } from "../../src/ssl/certificate.ts";
import type { CertStore } from "../../src/ssl/store.ts";
import { type Made, made } from "../ssl/made-certificates.ts";
import { RUNS } from "./sniffer-laws.ts";

/** What a store under law has to hold. */
export interface Stock {
  /** For `app.example.test`, which the wildcard covers too. */
  readonly exact: Made;
  /** For `*.example.test`. */
  readonly wildcard: Made;
  /** For all others, and for clients without a name; absent: those get nothing. */
  readonly fallback: Made | undefined;
}

/** A store made for the laws, and how it is put away. */
export interface Opened {
  readonly store: CertStore;
  close?(): Promise<void>;
}

/** What every store of certificates must obey, wherever it has them from. */
export function certStoreLaws(title: string, open: (stock: Stock) => Promise<Opened>): void {
  describe(title, () => {
    let stock: Stock;
    let opened: Opened;
    let strict: Opened;
    beforeAll(async () => {
      stock = {
        exact: await made({ names: ["app.example.test"] }),
        wildcard: await made({ names: ["*.example.test"] }),
        fallback: await made({ names: ["fallback.test"] }),
      };
      opened = await open(stock);
      strict = await open({ ...stock, fallback: undefined });
    });
    afterAll(async () => {
      await opened.close?.();
      await strict.close?.();
    });
    const answer = (name: string | undefined, { store } = opened) => store.find(name).then(fingerprint);

    test.each<[keyof Stock, string | undefined]>([
      ["exact", "app.example.test"],
      ["exact", "APP.Example.TEST"],
      ["exact", "app.example.test."],
      ["wildcard", "other.example.test"],
      ["wildcard", "OTHER.EXAMPLE.TEST"],
      ["wildcard", "xn--bcher-kva.example.test"],
      ["fallback", "fallback.test"],
      ["fallback", "a.b.example.test"],
      ["fallback", "example.test"],
      ["fallback", "app.example.test.evil.test"],
      ["fallback", "unknown.test"],
      ["fallback", undefined],
      ["fallback", ""],
    ])("answers with the %s certificate for %j", async (which, name) => {
      expect(await answer(name)).toBe(fingerprint(certificateIn(stock, which)));
    });

    test.each(["a.b.example.test", "example.test", "test", "", undefined, "*.example.test", "a b", "\u212Aapp.test"])(
      "without a default there is nothing for %j",
      async (name) => {
        expect(await answer(name, strict)).toBeUndefined();
      },
    );

    test("answers any text, with one of its certificates or with none", async () => {
      const stocked = [stock.exact, stock.wildcard, stock.fallback].map((one) => one && fingerprint(certificate(one)));
      const property = fc.asyncProperty(serverNames, async (name) => {
        expect([...stocked, undefined]).toContain(await answer(name));
      });
      await fc.assert(property, { numRuns: RUNS });
    });

    test("gives the same object for the same name, so that contexts and sessions are shared", async () => {
      const name = "app.example.test";
      const [one, two] = await Promise.all([opened.store.find(name), opened.store.find(name.toUpperCase())]);
      expect(one).toBe(two);
      expect(await opened.store.find(name)).toBe(one);
    });
  });
}

/** Host names, near misses of the stock's names, and any text at all. */
const serverNames = fc.oneof(
  fc.domain(),
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom(".", "*", "a", "A", "-", "\u0000", "example", "test"), maxLength: 300 }),
  fc.tuple(fc.string(), fc.constantFrom(".example.test", ".", "..test")).map(([head, tail]) => head + tail),
);

function certificateIn(stock: Stock, which: keyof Stock): Certificate | undefined {
  const pem = stock[which];
  return pem && certificate(pem);
}

function fingerprint(found: Certificate | undefined): string | undefined {
  return found?.fingerprint;
}
