import {
  isHostPort,
  type RedisConfig,
  type RedisOptions,
  type RedisTls,
  redisFault,
} from "../../../registry/redis/redis-config.ts";
import {
  either,
  flag,
  isRecord,
  list,
  maybe,
  milliseconds,
  oneOf,
  type Schema,
  secret,
  shape,
  text,
  together,
  whole,
} from "./schema.ts";

const url = secret("a URL like redis://host:6379", (written) => {
  if (!/^rediss?:\/\//.test(written) || !URL.canParse(written)) return false;
  const { hostname, pathname } = new URL(written);
  return hostname !== "" && /^\/?\d{0,5}$/.test(pathname); // the path is the number of a database
});

const address = text("host:port", isHostPort);
const pem = secret("PEM text or a path");

/** Redis allows any number; this is a guard against slips. */
const MAX_DATABASE = 16_383;

const tlsObject = shape("true, false or an object", {
  ca: maybe(pem),
  cert: maybe(pem),
  key: maybe(pem),
  serverName: maybe(text("a name")),
  verify: maybe(flag),
});

const tls: Schema<boolean | RedisTls> = either<boolean | RedisTls>((input) =>
  typeof input === "boolean" ? flag : tlsObject,
);

const options: Schema<RedisOptions> = together(
  shape("a URL, or an object with url, sentinels or cluster", {
    url: maybe(url),
    sentinels: maybe(list(address, "a list of addresses", { min: 1 })),
    name: maybe(text("what the sentinels call the master")),
    cluster: maybe(list(address, "a list of addresses", { min: 1 })),
    prefix: maybe(text("text")),
    username: maybe(text("a name")),
    password: maybe(secret("text")),
    sentinelPassword: maybe(secret("text")),
    database: maybe(whole(0, MAX_DATABASE)),
    tls: maybe(tls),
    protocol: maybe(oneOf(2, 3)),
    connectTimeoutMs: maybe(milliseconds()),
    commandTimeoutMs: maybe(milliseconds()),
  }),
  (value) => {
    const fault = isRecord(value) ? redisFault(value) : undefined;
    return fault ? [{ path: [fault.key], text: fault.text }] : [];
  },
);

/** Where Redis is. */
export const redisConfig: Schema<RedisConfig> = either<RedisConfig>((input) => (isRecord(input) ? options : url));
