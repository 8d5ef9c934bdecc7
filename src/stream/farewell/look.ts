/** What can be told of a session's bytes by looking at its counts now and then. */
export interface Look {
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** No byte has moved since the look before. */
  readonly isIdle: boolean;
  /** Whose bytes were the last ones; the peer's where both may have been. */
  readonly spokeLast: "client" | "peer";
}

/** Two numbers, read while somebody else moves the bytes. */
export interface Counted {
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** Looks at a session, at best twice within the time that matters: the first look sees little. */
export function lookAt({ bytesReceived, bytesSent }: Counted, before: Look | undefined): Look {
  const hasSpoken = { client: bytesReceived !== before?.bytesReceived, peer: bytesSent !== before?.bytesSent };
  const { spokeLast = "peer" } = before ?? {};
  return {
    bytesReceived,
    bytesSent,
    isIdle: !hasSpoken.client && !hasSpoken.peer,
    spokeLast: hasSpoken.peer ? "peer" : hasSpoken.client ? "client" : spokeLast,
  };
}
