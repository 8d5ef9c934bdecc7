import { messageOf } from "../../errors.ts";
import type { GatewayConfig } from "../../gateway.ts";
import { compileSsl } from "../../ssl/settings.ts";
import { peerSslOf } from "../../upstream/peer-ssl.ts";

interface FaultOptions {
  /** Paths in the configuration are relative to it. */
  readonly baseDir: string;
  /** Is told what is wrong and can be lived with, like one broken pair in a folder of certificates. */
  readonly warn: (text: string) => void;
}

/** What is wrong with the certificates, keys and authorities that a checked configuration names, each with its path. */
export async function fileFaults(config: GatewayConfig, options: FaultOptions): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const [name, { ssl }] of Object.entries(config.upstreams ?? {})) {
    const fault = await faultOf(() => ssl && peerSslOf(ssl, options.baseDir));
    if (fault !== undefined) faults.push(`upstreams.${name}.${fault}`);
  }
  for (const [name, { ssl }] of Object.entries(config.servers)) {
    const warn = (text: string): void => options.warn(`servers.${name}.ssl: ${text}`);
    const build = { serverName: name, baseDir: options.baseDir, warn };
    const fault = await faultOf(async () => ssl && (await compileSsl(ssl, build)).close());
    if (fault !== undefined) faults.push(`servers.${name}.${fault}`);
  }
  return faults;
}

/** The messages begin with the key at fault: `ssl.certs: …`. */
async function faultOf(build: () => unknown): Promise<string | undefined> {
  try {
    await build();
    return undefined;
  } catch (cause) {
    return messageOf(cause);
  }
}
