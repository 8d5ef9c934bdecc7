import { expectTypeOf, test } from "vitest";
import { type LimitConfig, on, otherwise, proxy } from "../../../src/index.ts";
import { http } from "../../../src/preread/index.ts";

test("a limit has the keys of its kind, and no other", () => {
  expectTypeOf<{ conn: 1; per: "address" }>().toExtend<LimitConfig>();
  expectTypeOf<{ bytesPerSecond: { up: 1 }; per: "session" }>().toExtend<LimitConfig>();
  expectTypeOf<{ conn: 1; per: "session" }>().not.toExtend<LimitConfig>();
  expectTypeOf<{ conn: 1 }>().not.toExtend<LimitConfig>();
  expectTypeOf<{ count: 1; per: "ja4" }>().not.toExtend<LimitConfig>();
});

test("a route takes limits behind its action, whose upstream is still known", () => {
  const limits: readonly LimitConfig[] = [{ req: 1, per: ({ protocol }) => protocol }];
  expectTypeOf(on(http(), proxy("web"), { limits })).toExtend<{ limits?: readonly LimitConfig[] }>();
  expectTypeOf(otherwise(proxy("web"), { limits })).toEqualTypeOf(otherwise(proxy("web")));
});
