"""A session with redis-py, as an application would have it. Arguments: the ports of some peers' doors for Redis clients."""

import sys
import threading

import redis

ports = [int(port) for port in sys.argv[1:]]


def session(protocol):
    client = redis.Redis(port=ports[0], protocol=protocol, decode_responses=True, client_name="session")
    assert client.ping()
    assert client.client_getname() == "session"
    prefix = f"py{protocol}:"
    key = lambda name: prefix + name
    assert client.set(key("a"), "1") and client.get(key("a")) == "1"
    assert client.mset({key("b"): "2", key("c"): "3"})
    assert client.mget(key("a"), key("b"), key("none")) == ["1", "2", None]
    assert client.set(key("d"), "x", ex=100) and 90 < client.ttl(key("d")) <= 100
    assert client.set(key("d"), "y", keepttl=True) and 90 < client.ttl(key("d")) <= 100
    assert client.persist(key("d")) and client.ttl(key("d")) == -1
    assert client.expire(key("d"), 50) and 40 < client.ttl(key("d")) <= 50
    assert client.exists(key("a"), key("b"), key("none")) == 2
    assert client.type(key("a")) == "string" and client.strlen(key("a")) == 1
    assert client.getrange(key("a"), 0, -1) == "1"
    assert client.incr(key("n")) == 1 and client.incrby(key("n"), 9) == 10 and client.decr(key("n")) == 9
    assert client.get(key("n")) == "9"
    assert client.sadd(key("s"), "x", "y") == 2 and client.smembers(key("s")) == {"x", "y"}
    assert client.sismember(key("s"), "x") == 1 and client.scard(key("s")) == 2
    assert client.smismember(key("s"), ["x", "z"]) == [1, 0]
    assert client.srem(key("s"), "x") == 1 and list(client.sscan_iter(key("s"))) == ["y"]
    assert client.type(key("s")) == "set"
    pipe = client.pipeline(transaction=False)
    for number in range(500):
        pipe.set(key(f"p{number}"), number)
        pipe.get(key(f"p{number}"))
    answers = pipe.execute()
    assert answers == [answer for number in range(500) for answer in (True, str(number))], answers
    scanned = sorted(client.scan_iter(match=key("p*"), count=50))
    assert scanned == sorted(key(f"p{number}") for number in range(500))
    assert client.delete(*scanned) == 500
    assert sorted(client.keys(key("*"))) == sorted(key(name) for name in "abcdns")
    assert client.dbsize() >= 6
    assert client.info()["redis_mode"] == "standalone" and client.config_get("maxmemory*")["maxmemory"] == "0"
    assert client.command_count() > 40 and client.time()[0] > 0 and client.echo("x") == "x"
    for refused in (
        lambda: client.set(key("a"), "1", nx=True),
        lambda: client.getset(key("a"), "1"),
        lambda: client.pipeline(transaction=True).set(key("t"), "1").execute(),
        lambda: client.get(key("s")),
        lambda: client.lpush(key("l"), "x"),
    ):
        try:
            refused()
        except redis.ResponseError as error:
            assert len(str(error)) > 20, error
        else:
            raise AssertionError("this had to be refused")
    assert client.get(key("t")) is None
    client.close()


def increments(port):
    client = redis.Redis(port=port)
    for _ in range(50):
        client.incr("py:shared")
        client.sadd("py:ports", port)
    client.close()


for protocol in (2, 3):
    session(protocol)
threads = [threading.Thread(target=increments, args=(port,)) for port in ports for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
last = redis.Redis(port=ports[-1])
assert int(last.get("py:shared")) == 50 * len(threads), last.get("py:shared")
assert {int(port) for port in last.smembers("py:ports")} == set(ports)
print("ok")
