import type { Log } from "../stream/log.ts";

/** An event of the gateway's log. */
export interface LogEntry {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The access line of a session: nginx's variable names; what is not known is absent. */
export interface AccessLine {
  readonly time: string;
  readonly session: string;
  readonly remote_addr: string;
  readonly remote_port: number;
  readonly server: string;
  readonly protocol?: string;
  readonly ssl_protocol?: string;
  readonly ssl_server_name?: string;
  readonly upstream?: string;
  readonly upstream_addr?: string;
  /** Seconds, as all times here. */
  readonly upstream_connect_time?: number;
  readonly status: number;
  readonly end_cause: string;
  readonly bytes_received: number;
  readonly bytes_sent: number;
  readonly session_time: number;
  /** `RC_…`, when there was an error. */
  readonly code?: string;
  readonly phase?: string;
  readonly reason?: string;
  readonly at?: string;
}

/** Keeps what a gateway says. */
export class RunLog implements Log {
  readonly entries: LogEntry[] = [];
  line: AccessLine | undefined;

  debug(event: string, fields?: LogEntry["fields"]): void {
    this.#add("debug", event, fields);
  }

  info(event: string, fields?: LogEntry["fields"]): void {
    this.#add("info", event, fields);
  }

  warn(event: string, fields?: LogEntry["fields"]): void {
    this.#add("warn", event, fields);
  }

  error(event: string, fields?: LogEntry["fields"]): void {
    this.#add("error", event, fields);
  }

  access(line: () => string): void {
    this.line = JSON.parse(line());
  }

  #add(level: LogEntry["level"], event: string, fields: LogEntry["fields"] = {}): void {
    this.entries.push({ level, event, fields });
  }
}
