import { formatEndpoint, parseEndpoint } from "../../codecs/address.ts";
import { readJsonObject } from "../../codecs/json-object.ts";

/** A game server as the registry has it. */
export interface GameServer {
  /** `game` of `service:game:eu-1`. */
  readonly service: string;
  /** `eu-1`: the rest of its key. */
  readonly instance: string;
  /** Where sessions go; what hooks see as `session.peer`. */
  readonly address: string;
  /** Where the link goes. */
  readonly link: string;
}

/** What an instance says of itself. A text: why it cannot be used; undefined: it wants no link. */
export function readGameServer(
  { service, instance }: Pick<GameServer, "service" | "instance">,
  value: string,
): GameServer | string | undefined {
  const said = readJsonObject(value);
  if (!said) return "expected a JSON object";
  if (said["link"] === false) return undefined;
  const address = addressOf(said["address"]);
  if (address === undefined) return "address: expected host:port or unix:/path";
  const link = said["link"] === undefined ? address : addressOf(said["link"]);
  if (link === undefined) return "link: expected false, host:port or unix:/path";
  return { service, instance, address, link };
}

/** In the one form that an address has everywhere. */
function addressOf(text: unknown): string | undefined {
  const endpoint = typeof text === "string" ? parseEndpoint(text) : undefined;
  return endpoint && formatEndpoint(endpoint);
}
