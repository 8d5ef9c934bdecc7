const MAX_NAME = 253; // RFC 1035 §2.3.4: 255 bytes on the wire are 253 characters of text
const MAX_LABEL = 63; // RFC 1035 §2.3.4
const LABELS = new RegExp(`^[A-Za-z0-9_-]{1,${MAX_LABEL}}(?:\\.[A-Za-z0-9_-]{1,${MAX_LABEL}})*$`);

/**
 * The one spelling under which a server name is looked up: lower case, no dot at the end.
 * Undefined for what cannot be a host name (RFC 6066 §3 wants ASCII, so other letters never fold into ours).
 */
export function normalName(serverName: string): string | undefined {
  const name = serverName.endsWith(".") ? serverName.slice(0, -1) : serverName;
  return name.length <= MAX_NAME && LABELS.test(name) ? name.toLowerCase() : undefined;
}

/** The same for a name in a certificate, which may begin with `*.`; a star elsewhere is refused (RFC 9525 §6.3). */
export function normalPattern(presented: string): string | undefined {
  if (!presented.startsWith("*.")) return normalName(presented);
  const suffix = normalName(presented.slice(2));
  return suffix === undefined ? undefined : `*.${suffix}`;
}

/** The wildcard that would cover a normal name: its first label, and that alone, becomes the star. */
export function wildcardFor(name: string): string | undefined {
  const dot = name.indexOf(".");
  return dot === -1 ? undefined : `*${name.slice(dot)}`;
}
