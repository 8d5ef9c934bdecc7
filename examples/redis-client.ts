// A small Redis client built on `connect()` alone, and hooks that use it: commands, pipelines, a pool of connections, errors.
// It shows what outgoing sockets do; for real use take a client like ioredis.
//
// In two terminals:
//   $ redis-server --port 6379 --save ''
//   $ npm start -- --config examples/redis-client.ts
//
// Try: names are counted, two commands in one pipeline; a banned address is refused; an error of Redis is an answer.
//   $ printf 'ann\nann\nbob\n' | nc -N 127.0.0.1 5050
//   ann: visit 1, the 1st in all
//   ann: visit 2, the 2nd in all
//   bob: visit 1, the 3rd in all
//   $ redis-cli -p 6379 SADD banned 127.0.0.66
//   1
//   $ echo mallory | nc -N -s 127.0.0.66 127.0.0.1 5050
//   $ redis-cli -p 6379 SET visits many
//   OK
//   $ echo ann | nc -N 127.0.0.1 5050
//   ERR value is not an integer or out of range
import { connect, content, defineGateway, otherwise, type Payload, reject, type StreamSocket } from "restyconf";

const { LISTEN = "127.0.0.1:5050", REDIS = "127.0.0.1:6379" } = process.env;

type Command = readonly (string | number)[];

/** What Redis answers. An error is one of the values: in a pipeline, the other commands have theirs. */
export type Reply = string | number | null | Error | readonly Reply[];

/** The commands of one server. Connections are shared: each call takes one from the pool, and puts it back. */
export function redisClient(address: string) {
  /** Sends the commands at once, and answers as many replies. Rejects when there is no telling what Redis has done. */
  async function pipeline(commands: readonly Command[], signal?: AbortSignal): Promise<Reply[]> {
    const limits = { poolSize: 20, backlog: 1_000, connectMs: 1_000, sendMs: 2_000, readMs: 2_000 };
    const { socket, err } = await connect(address, { ...limits, signal });
    if (err !== undefined) throw new Error(`redis: ${err}`);
    try {
      const { err: unsent } = await socket.send(commands.map(encoded));
      if (unsent !== undefined) throw new Error(`redis: ${unsent}`);
      const replies: Reply[] = [];
      while (replies.length < commands.length) replies.push(await replyOf(socket));
      const kept = await socket.setKeepalive(10_000);
      if (kept.err !== undefined) socket.close();
      return replies;
    } catch (cause) {
      socket.close(); // half a reply may be under way: nobody else must get this connection
      throw cause;
    }
  }

  /** One command; an error of Redis is thrown. */
  async function command(words: Command, signal?: AbortSignal): Promise<Reply> {
    const [reply = null] = await pipeline([words], signal);
    if (reply instanceof Error) throw reply;
    return reply;
  }

  return { command, pipeline };
}

/** An array of texts with their lengths. `send` takes lists in lists, so that nobody has to join them. */
function encoded(words: Command): Payload & object {
  return [`*${words.length}\r\n`, words.map((word) => [`$${Buffer.byteLength(`${word}`)}\r\n`, word, "\r\n"])];
}

async function replyOf(socket: StreamSocket, depth = 0): Promise<Reply> {
  const line = (await received(socket.receive())).toString();
  const rest = line.slice(1);
  switch (line[0]) {
    case "+":
      return rest;
    case "-":
      return new Error(rest);
    case ":":
      return Number(rest);
    case "$":
      return rest === "-1"
        ? null
        : (await received(socket.receive(Number(rest) + 2))).toString("utf8", 0, Number(rest));
    case "*": {
      if (depth > 8) throw new Error("redis: arrays too deep");
      const items: Reply[] = [];
      while (items.length < Number(rest)) items.push(await replyOf(socket, depth + 1));
      return rest === "-1" ? null : items;
    }
    default:
      throw new Error(`redis: not a reply: ${line.slice(0, 40)}`);
  }
}

async function received(reading: ReturnType<StreamSocket["receive"]>): Promise<Buffer> {
  const { data, err } = await reading;
  if (err !== undefined) throw new Error(`redis: ${err}`);
  return data;
}

const redis = redisClient(REDIS);

const guestBook = content(async (session) => {
  for (;;) {
    const { data: name, err } = await session.reader.receive();
    if (err !== undefined) return;
    const [visits, all] = await redis.pipeline(
      [
        ["INCR", `visits:${name}`],
        ["INCR", "visits"],
      ],
      session.signal,
    );
    const text = all instanceof Error ? all.message : `${name}: visit ${visits}, the ${ordinal(Number(all))} in all`;
    await session.write(`${text}\n`);
  }
});

function ordinal(count: number): string {
  return `${count}${["th", "st", "nd", "rd"][count] ?? "th"}`;
}

export default defineGateway({
  servers: {
    edge: {
      listen: LISTEN,
      routes: [otherwise(guestBook)],
      phases: {
        preread: async (session) => {
          const isBanned = await redis.command(["SISMEMBER", "banned", session.remote.host], session.signal);
          return isBanned === 1 ? reject("banned") : undefined;
        },
      },
    },
  },
});
