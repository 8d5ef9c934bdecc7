# The game server's end of a link, in Python 3 without packages: gateways connect to it and announce themselves.
# See docs/link.md.
#   python3 examples/link_client.py <port>
# Prints each frame as a line of JSON, and sends each line of JSON on its standard input to all gateways:
#   {"type":"push","id":1,"session":"…","data":"hello"}
#   {"type":"unban","id":2,"whom":"203.0.113.7"}
import asyncio
import json
import struct
import sys
import threading


def pack(value):
    """msgpack, each kind of value in its longest form."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return struct.pack(">Bq", 0xD3, value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        text = value.encode()
        return struct.pack(">BI", 0xDB, len(text)) + text
    if isinstance(value, bytes):
        return struct.pack(">BI", 0xC6, len(value)) + value
    if isinstance(value, list):
        return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(pack, value))
    fields = [part for field in value.items() for part in field]
    return struct.pack(">BI", 0xDF, len(value)) + b"".join(map(pack, fields))


NUMBERS = dict(zip([0xCA, 0xCB, *range(0xCC, 0xD4)], ["f", "d", "B", "H", "I", "Q", "b", "h", "i", "q"]))
SIZES = {0xC4: "B", 0xC5: "H", 0xC6: "I", 0xD9: "B", 0xDA: "H", 0xDB: "I", 0xDC: "H", 0xDD: "I", 0xDE: "H", 0xDF: "I"}


class Unpacker:
    """All of msgpack but extensions."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, code):
        return struct.unpack(">" + code, self.take(struct.calcsize(code)))[0]

    def map(self, size):
        return {self.value(): self.value() for _ in range(size)}

    def list(self, size):
        return [self.value() for _ in range(size)]

    def value(self):
        first = self.number("B")
        if first < 0x80:
            return first
        if first < 0x90:
            return self.map(first - 0x80)
        if first < 0xA0:
            return self.list(first - 0x90)
        if first < 0xC0:
            return self.take(first - 0xA0).decode()
        if first >= 0xE0:
            return first - 0x100
        if first in NUMBERS:
            return self.number(NUMBERS[first])
        if first in SIZES:
            size = self.number(SIZES[first])
            if first < 0xC7:
                return self.take(size)
            if first < 0xDC:
                return self.take(size).decode()
            return self.list(size) if first < 0xDE else self.map(size)
        return {0xC0: None, 0xC2: False, 0xC3: True}[first]


gateways = set()


def send(writer, frame):
    data = pack(frame)
    writer.write(struct.pack(">I", len(data)) + data)


def hear(writer, frame):
    print(json.dumps(frame, default=lambda data: data.decode(errors="replace")), flush=True)
    if frame["type"] == "hello":
        send(writer, {"type": "welcome"})
    elif frame["type"] == "ping":
        send(writer, {"type": "pong", "id": frame["id"]})


async def serve(reader, writer):
    gateways.add(writer)
    try:
        while True:
            (size,) = struct.unpack(">I", await reader.readexactly(4))
            hear(writer, Unpacker(await reader.readexactly(size)).value())
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the gateway has left
    finally:
        gateways.discard(writer)
        writer.close()


def send_all(frame):
    for writer in gateways:
        send(writer, frame)


def commands(loop):
    for line in sys.stdin:
        loop.call_soon_threadsafe(send_all, json.loads(line))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    host, port = server.sockets[0].getsockname()
    print(json.dumps({"address": host, "port": port}), flush=True)
    threading.Thread(target=commands, args=[asyncio.get_running_loop()], daemon=True).start()
    await server.serve_forever()


asyncio.run(main())
