"""A lock by pymemcache's add as a peer: see ../README.md."""

import math
import os
import sys
import threading
import time
import uuid

import pymemcache
from pymemcache.client.base import Client


class Peer:
    def __init__(self, url):
        self.url = url
        host, port = url.removeprefix("memcached://").rsplit(":", 1)
        self.client = Client((host, int(port)), timeout=10, no_delay=True)
        self.values = {}

    def lock(self, name, ttl_ms):
        value = uuid.uuid4().hex.encode()
        if not self.client.add(name, value, expire=math.ceil(int(ttl_ms) / 1000), noreply=False):
            return "busy"
        self.values[name] = value
        return "granted"

    def wait(self, name, ttl_ms, timeout_ms):
        end = time.monotonic() + int(timeout_ms) / 1000
        while self.lock(name, ttl_ms) == "busy":
            if time.monotonic() >= end:
                return "busy"
            time.sleep(0.02)
        return "granted"

    def unlock(self, name):
        # Nothing better than comparing and then deleting: pymemcache has no compare-and-delete.
        if self.client.get(name) != self.values.pop(name):
            return "gone"
        self.client.delete(name, noreply=False)
        return "released"

    def pairs(self, name, times, threads):
        names = [name] if threads == "1" else [f"{name}-{at}" for at in range(int(threads))]
        begin = time.monotonic_ns()
        workers = [threading.Thread(target=self.take, args=(name, int(times))) for name in names]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return f"took {time.monotonic_ns() - begin}"

    def take(self, name, times):
        lock = self.waiter(name)
        for _ in range(times):
            lock.acquire()
            lock.release()

    def handovers(self, name, times):
        """How long after this one begins to release does another client, which waits, hold the lock."""
        one, two = self.waiter(name), self.waiter(name)
        took = []
        for turn in range(int(times)):
            one.acquire()
            got = []
            other = threading.Thread(target=lambda: (two.acquire(), got.append(time.monotonic_ns())))
            other.start()
            # Long enough to wait for sure, and no multiple of the interval of who polls.
            time.sleep((120 + 37 * turn % 100) / 1000)
            begin = time.monotonic_ns()
            one.release()
            other.join()
            two.release()
            took.append(str(got[0] - begin))
        return " ".join(["took", *took])

    def waiter(self, name):
        return Waiter(Peer(self.url), name)


class Waiter:
    """One name on a connection of its own, for the benchmark."""

    def __init__(self, peer, name):
        self.peer = peer
        self.name = name

    def acquire(self):
        return self.peer.wait(self.name, 30_000, 60_000)

    def release(self):
        return self.peer.unlock(self.name)


def main():
    peer = Peer(os.environ["PEER_STORE"])
    verbs = {
        "lock": peer.lock,
        "wait": peer.wait,
        "unlock": peer.unlock,
        "pairs": peer.pairs,
        "handovers": peer.handovers,
    }
    print("ready pymemcache", pymemcache.__version__, flush=True)
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "quit":
            return
        try:
            answer = verbs[verb](*words)
        except Exception as error:  # The other side has to see whatever it is.
            answer = f"error {type(error).__name__}: {error}".replace("\n", " ")
        print(answer, flush=True)


main()
