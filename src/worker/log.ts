import { resolve } from "node:path";
import { pino } from "pino";
import { messageOf } from "../errors.ts";
import type { LogConfig } from "../gateway.ts";
import type { Log } from "../stream/log.ts";
import { ConfigError } from "./config/config-error.ts";
import { LineSink } from "./line-sink.ts";

/** A log with a file behind it. */
export interface OpenLog extends Log {
  /** Goes on in a new file of the same name, after the old one was renamed. */
  reopen(): void;
  /** Writes what is still on its way; call it last before the process ends. */
  flush(): void;
  close(): void;
}

/** Fields which may hold secrets, in what users and libraries hand over. */
const SECRETS = ["password", "token", "authorization", "*.password", "*.token", "*.authorization"];

/**
 * Opens the log: events of the gateway go to standard error as JSON, access lines where the configuration says.
 * @throws ConfigError when the file cannot be opened
 */
export function createLog(config: LogConfig = {}, { baseDir }: { readonly baseDir: string }): OpenLog {
  const events = new LineSink();
  const access = accessSink(config.access ?? "stderr", baseDir, events);
  const sinks = new Set([events, ...(access ? [access] : [])]);
  const logger = pino(
    {
      level: config.level ?? "info",
      base: null, // neither pid nor host name: the service manager knows both
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      redact: SECRETS,
    },
    events,
  );
  return {
    debug: (event, fields) => logger.debug(fields ?? {}, event),
    info: (event, fields) => logger.info(fields ?? {}, event),
    warn: (event, fields) => logger.warn(fields ?? {}, event),
    error: (event, fields) => logger.error(fields ?? {}, event),
    access: (line) => access?.write(`${line()}\n`),
    reopen: () => {
      try {
        access?.reopen();
      } catch (cause) {
        logger.error({ reason: messageOf(cause) }, "cannot reopen the access log");
      }
    },
    flush: () => {
      for (const sink of sinks) sink.flush();
    },
    close: () => {
      for (const sink of sinks) sink.close();
    },
  };
}

/** On standard error both kinds of lines share one sink, and so keep their order. */
function accessSink(destination: string | false, baseDir: string, events: LineSink): LineSink | undefined {
  if (destination === false) return undefined;
  if (destination === "stderr") return events;
  try {
    return new LineSink(resolve(baseDir, destination));
  } catch (cause) {
    events.close();
    throw new ConfigError([`log.access: ${messageOf(cause)}`], { cause });
  }
}
