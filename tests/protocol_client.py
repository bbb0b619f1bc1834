#!/usr/bin/env python3
"""A client of henge from docs/protocol.md alone: plain Python 3.11, nothing but the standard library.

protocol_client.py ADDR [ADDR ...]   a self-checking session against a running cluster; prints ok
protocol_client.py --selftest        checks hashes, MessagePack and frames against tests/golden/
"""
import json, os, socket, struct, sys

MASK = (1 << 64) - 1
# ---- XXH3-64 with seed 0 (keys are placed by it) ----
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

def r64(b, at): return struct.unpack_from("<Q", b, at)[0]
def rotl(x, n): return (x << n | x >> 64 - n) & MASK
def fold(a, b): return (a * b & MASK) ^ (a * b >> 64)
def avalanche(h):
    h = (h ^ h >> 37) * 0x165667919E3779F9 & MASK
    return h ^ h >> 32
def avalanche64(h):
    h = (h ^ h >> 33) * P64[1] & MASK
    h = (h ^ h >> 29) * P64[2] & MASK
    return h ^ h >> 32
def xxh3(data):
    n, s = len(data), SECRET
    mix = lambda at, secret: fold(r64(data, at) ^ r64(s, secret), r64(data, at + 8) ^ r64(s, secret + 8))
    if n == 0:
        return avalanche64(r64(s, 56) ^ r64(s, 64))
    if n <= 3:
        return avalanche64((data[0] << 16 | data[n >> 1] << 24 | data[-1] | n << 8) ^ r64(s, 0) & 0xFFFFFFFF ^ r64(s, 0) >> 32)
    if n <= 8:
        h = int.from_bytes(data[n - 4:] + data[:4], "little") ^ r64(s, 8) ^ r64(s, 16)
        h = (h ^ rotl(h, 49) ^ rotl(h, 24)) * 0x9FB21C651E98DF25 & MASK
        h = (h ^ (h >> 35) + n) * 0x9FB21C651E98DF25 & MASK
        return h ^ h >> 28
    if n <= 16:
        low, high = r64(data, 0) ^ r64(s, 24) ^ r64(s, 32), r64(data, n - 8) ^ r64(s, 40) ^ r64(s, 48)
        return avalanche(n + int.from_bytes(low.to_bytes(8, "little"), "big") + high + fold(low, high) & MASK)
    if n <= 128:
        acc = n * P64[0]
        for i in range((n - 1) // 32 + 1):
            acc += mix(16 * i, 32 * i) + mix(n - 16 * (i + 1), 32 * i + 16)
        return avalanche(acc & MASK)
    if n <= 240:
        acc = avalanche(n * P64[0] + sum(mix(16 * i, 16 * i) for i in range(8)) & MASK)
        acc += sum(mix(16 * i, 16 * (i - 8) + 3) for i in range(8, n // 16)) + mix(n - 16, 119)
        return avalanche(acc & MASK)
    acc = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]]
    def stripe(at, secret):
        for i in range(8):
            value = r64(data, at + 8 * i)
            key = value ^ r64(s, secret + 8 * i)
            acc[i ^ 1] = acc[i ^ 1] + value & MASK
            acc[i] = acc[i] + (key & 0xFFFFFFFF) * (key >> 32) & MASK
    for number in range((n - 1) // 64):
        stripe(64 * number, 8 * (number % 16))
        if number % 16 == 15:
            acc[:] = [(a ^ a >> 47 ^ r64(s, 128 + 8 * i)) * P32[0] & MASK for i, a in enumerate(acc)]
    stripe(n - 64, 121)
    merged = sum(fold(acc[i] ^ r64(s, 11 + 8 * i), acc[i + 1] ^ r64(s, 19 + 8 * i)) for i in range(0, 8, 2))
    return avalanche(n * P64[0] + merged & MASK)

# ---- MessagePack: what henge uses of it ----
def pack(x):
    def sized(n, *forms):  # (limit, mark, format)
        return next(bytes([mark + n]) if not form else struct.pack(">B" + form, mark, n) for top, mark, form in forms if n < top)
    if x is None or isinstance(x, bool):
        return b"\xc0" if x is None else b"\xc3" if x else b"\xc2"
    if isinstance(x, int) and x < 0:
        return next(bytes([mark]) + struct.pack(">" + form, x) for low, mark, form in ((7, 0xD0, "b"), (15, 0xD1, "h"), (31, 0xD2, "i"), (63, 0xD3, "q")) if x >= -1 << low)
    if isinstance(x, int):
        return sized(x, (128, 0, ""), (256, 0xCC, "B"), (1 << 16, 0xCD, "H"), (1 << 32, 0xCE, "I"), (1 << 64, 0xCF, "Q"))
    if isinstance(x, bytes):
        return sized(len(x), (256, 0xC4, "B"), (1 << 16, 0xC5, "H"), (1 << 32, 0xC6, "I")) + x
    if isinstance(x, str):
        b = x.encode()
        return sized(len(b), (32, 0xA0, ""), (256, 0xD9, "B"), (1 << 16, 0xDA, "H"), (1 << 32, 0xDB, "I")) + b
    return sized(len(x), (16, 0x90, ""), (1 << 16, 0xDC, "H"), (1 << 32, 0xDD, "I")) + b"".join(map(pack, x))
def unpack(b, at=0):
    mark, at = b[at], at + 1
    number = lambda form: (struct.unpack_from(">" + form, b, at)[0], at + struct.calcsize(form))
    if mark < 0x80 or mark >= 0xE0 or mark in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}.get(mark, mark - 256 * (mark >= 0xE0)), at
    if 0xCC <= mark <= 0xD3:
        return number("BHIQbhiq"[mark - 0xCC])
    if mark & 0xF0 == 0x90 or mark in (0xDC, 0xDD):
        n, at = (mark & 15, at) if mark < 0xA0 else number("HI"[mark - 0xDC])
        items = []
        for _ in range(n):
            item, at = unpack(b, at)
            items.append(item)
        return items, at
    if mark & 0xE0 == 0xA0 or 0xD9 <= mark <= 0xDB:
        n, at = (mark & 31, at) if mark < 0xC0 else number("BHI"[mark - 0xD9])
        return b[at:at + n].decode(), at + n
    n, at = number("BHI"[mark - 0xC4])
    return b[at:at + n], at + n
# ---- frames and the client ----
HELLO, PUT, REMOVE, UPDATE, GET, LIST, RING, STATUS, MISSING, FAILED = 1, 16, 17, 18, 19, 20, 21, 22, 34, 40
def frame(kind, number, body, payload=b""):
    body = pack(body)
    return struct.pack(">IBQI", 13 + len(body) + len(payload), kind, number, len(body)) + body + payload
class Failure(Exception):
    def __init__(self, kind, message, retry_after_ms=0):
        super().__init__(f"failure {kind}: {message}")
        self.kind, self.retry_after_ms = kind, retry_after_ms
class Client:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream, self.last, self.early = self.socket.makefile("rb"), 0, {}
        self.socket.sendall(frame(HELLO, 0, ["HNGE", 1, 1, 1, False, os.urandom(16), None, None, None, None, "", "", None, []]))
        self.member = self.expect(HELLO)[7]
    def read(self):
        head = self.stream.read(17)
        if len(head) < 17:
            raise ConnectionError("the peer closed the connection")
        length, kind, number, body = struct.unpack(">IBQI", head)
        rest = self.stream.read(length - 13)
        return kind, number, unpack(rest[:body])[0], rest[body:]
    def expect(self, kind):
        got, _, body, _ = self.read()
        if got != kind:
            raise Failure(0, f"refused: {body}")
        return body
    def send(self, kind, body=(), payload=b""):
        self.last += 1
        self.socket.sendall(frame(kind, self.last, body, payload))
        return self.last
    def wait(self, number):  # replies come in any order: those of others wait in `early`
        while number not in self.early:
            kind, got, body, payload = self.read()
            self.early[got] = kind, body, payload
        kind, body, payload = self.early.pop(number)
        if kind == FAILED:
            raise Failure(*body[:3])
        return kind, body, payload
    def ask(self, kind, body=(), payload=b""): return self.wait(self.send(kind, body, payload))
    def send_put(self, key, value, context=b"", w=0, retry=None):
        form, raw = (4, bytes([len(value[0])]) + value[0] + value[1]) if isinstance(value, tuple) else (0, value) if isinstance(value, bytes) else (1, json.dumps(value).encode())
        return self.send(PUT, [key, form, context, w, 0, retry, False, 0], raw)
    def put(self, key, value, **how): return self.wait(self.send_put(key, value, **how))[1]
    def delete(self, key, path="", context=b"", w=0): return self.ask(REMOVE, [key, path, context, w, 0, None, False])[1]
    def update(self, key, number, path, change=None, payload=b"", context=b"", w=0):
        return self.ask(UPDATE, [key, number, path, context, w, 0, None, False, 0, change], payload)[1]
    def patch(self, key, path, value, **how): return self.update(key, 0, path, payload=json.dumps(value).encode(), **how)
    def merge(self, key, patch): return self.update(key, 1, "", payload=json.dumps(patch).encode())
    def list(self, prefix, after=b"", limit=1000): return self.ask(LIST, [prefix, after, limit, 0, 0])[1]
    def ring(self): return self.ask(RING)[1]
    def status(self): return self.ask(STATUS)[1]
    def get(self, key, path="", r=0): return read_value(*self.ask(GET, [key, path, r, b"", False, 0]))

def value_of(form, raw): return None if form is None else raw if form == 0 else members(raw) if form == 3 else (raw[1:1 + raw[0]], raw[1 + raw[0]:]) if form == 4 else json.loads(raw)
def members(raw): return [raw[4:4 + int.from_bytes(raw[:4])]] + members(raw[4 + int.from_bytes(raw[:4]):]) if raw else []
def read_value(kind, body, payload):
    """(value, {path: siblings}, context); the value is None if nothing is there, or nothing but siblings."""
    if kind == MISSING:
        return None, {}, body[0]
    return value_of(body[0], payload), {path: [value_of(*v) for v in values] for path, values in body[1]}, body[3]
def owners(ring, key):
    opened = key.find(b"{")
    closed = key.find(b"}", opened + 1)
    group = key[opened + 1:closed] if opened >= 0 and closed > opened + 1 else key
    bits = len(ring[3]).bit_length() - 1
    return [ring[2][at] for at in ring[3][xxh3(group) >> 64 - bits]]

# ---- the self-checking session ----
def same(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: got {repr(got)[:300]} where {repr(wanted)[:300]} was wanted")
def fails(kind, act):
    try:
        act()
    except Failure as failure:
        return same("kind of failure", failure.kind, kind)
    raise AssertionError(f"failure {kind} was wanted, and it went well")
def session(addresses):
    a, b = Client(addresses[0]), Client(addresses[-1])
    prefix = b"protocol-%s:" % os.urandom(6).hex().encode()
    key = lambda name: prefix + name.encode()
    same("the status names the member of the hello", a.status()[1], a.member)
    document = {"n": 2**60, "deep": {"\u00e9": [1, None, True]}}
    for name, value in (("raw", bytes(range(256)) * 40), ("empty", b""), ("json", document), ("text", "x"), ("typed", (b"image/png", b"\x89PNG"))):
        a.put(key(name), value)
        same(name, b.get(key(name))[:2], (value, {}))
    same("nothing, and a path", (a.get(key("nothing"))[0], b.get(key("json"), "deep.\u00e9")[0]), (None, [1, None, True]))
    # A context covers what was seen; two writes with the same one are siblings, until a write has seen both.
    a.put(key("raw"), b"second", context=a.get(key("raw"))[2])
    value, siblings, context = b.get(key("raw"))
    same("overwritten", (value, siblings), (b"second", {}))
    for client, side in ((a, b"left"), (b, b"right")): client.put(key("raw"), side, context=context)
    value, siblings, context = a.get(key("raw"), r=255)
    same("siblings", (value, sorted(siblings[""])), (None, [b"left", b"right"]))
    b.put(key("raw"), b"both", context=context, w=255)
    same("resolved", a.get(key("raw"))[:2], (b"both", {}))
    fails(3, lambda: a.put(key("raw"), b"x", context=b"forged"))
    a.patch(key("json"), "deep.more", {"x": 1})
    b.merge(key("json"), {"n": None, "added": [2]})
    same("patched", a.get(key("json"))[0], {"deep": {"\u00e9": [1, None, True], "more": {"x": 1}}, "added": [2]})
    b.delete(key("json"), "deep.more")
    same("a path deleted", a.get(key("json"), "deep")[0], {"\u00e9": [1, None, True]})
    a.delete(key("json"))
    same("deleted", b.get(key("json"))[:2], (None, {}))
    for client, amount in ((a, 1), (b, -300), (a, 2**40)): client.update(key("n"), 2, "", amount)
    a.update(key("s"), 3, "", [[b"x", b"\xff\0"], [b"y"]])
    b.ask(26, [key("n"), 1 << 41, b"", 0, 0, None, False])  # Expire
    same("a counter and a set", (b.get(key("n"))[0], b.get(key("s"))[0]), (2**40 - 299, [b"x", b"\xff\0"]))
    for wrong in (lambda: a.get(key("raw"), r=9), lambda: a.ask(99), lambda: a.put(key("raw"), (b"image", b""))): fails(1, wrong)
    # Garbage elsewhere hurts nobody here.
    stray = socket.create_connection(a.socket.getpeername()[:2], timeout=20)
    stray.sendall(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(64))
    # 500 requests before the first reply is read; each goes to an owner that we have found ourselves.
    ring, sent = a.ring(), []
    clients = {client.member: client for client in [a, b] + [Client(address) for address in addresses[1:-1]]}
    for i in range(500):
        own = [m[0] for m in owners(ring, key(f"p{i:03}"))]
        client = next((clients[m] for m in own if m in clients), a)
        sent.append((client, client.send_put(key(f"p{i:03}"), {"i": i}), own))
    for client, number, own in reversed(sent):
        (member, _), acks, *_ = client.wait(number)[1]
        same("acknowledged by owners alone", [ack[0] for ack in acks if ack[0] not in own], [])
        same("coordinated by the owner that was asked", member, client.member if client.member in own else member)
    sent = [(i, b.send(GET, [key(f"p{i:03}"), "i", 0, b"", False, 0])) for i in range(500)]
    for i, number in reversed(sent):
        same("pipelined get", read_value(*b.wait(number))[0], i)
    keys, more, after = b.list(key("p"), limit=300)
    same("listed", keys + a.list(key("p"), after=after)[0], [key(f"p{i:03}") for i in range(500)])
def selftest():
    golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
    lines = lambda name: [line.split() for line in open(os.path.join(golden, name)) if not line.startswith("#")]
    for length, wanted in lines("xxh3.txt"):
        same(f"xxh3 of {length} bytes", f"{xxh3(bytes((7 * i + int(length)) % 256 for i in range(int(length)))):016x}", wanted)
    for kind, name, wanted in lines("frames.txt"):
        b = bytes.fromhex(wanted)
        length, got, number, size = struct.unpack(">IBQI", b[:17])
        body, end = unpack(b, 17)
        same(f"lengths of {name}", (got, length, end), (int(kind), len(b) - 4, 17 + size))
        same(name, frame(got, number, body, b[end:]), b)
if __name__ == "__main__":
    try:
        selftest() if sys.argv[1:] == ["--selftest"] else session(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(f"protocol_client: {type(error).__name__}: {error}")
    print("ok")
