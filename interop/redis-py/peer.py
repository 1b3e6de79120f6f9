"""redis-py's Lock as a peer: see ../README.md."""

import os
import sys
import threading
import time

import redis
from redis.exceptions import LockError


class Peer:
    def __init__(self, url):
        self.url = url
        self.client = redis.Redis.from_url(url)
        self.locks = {}

    def lock(self, name, ttl_ms):
        return self.acquire(name, ttl_ms, blocking=False)

    def wait(self, name, ttl_ms, timeout_ms):
        return self.acquire(name, ttl_ms, blocking=True, blocking_timeout=int(timeout_ms) / 1000)

    def acquire(self, name, ttl_ms, **how):
        lock = self.client.lock(name, timeout=int(ttl_ms) / 1000)
        if not lock.acquire(**how):
            return "busy"
        self.locks[name] = lock
        return "granted"

    def unlock(self, name):
        try:
            self.locks.pop(name).release()
        except LockError:
            return "gone"
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
        # Not of a thread: the one that waits hands it to the one that asked.
        return redis.Redis.from_url(self.url).lock(name, timeout=30, thread_local=False)


def main():
    peer = Peer(os.environ["PEER_STORE"])
    verbs = {
        "lock": peer.lock,
        "wait": peer.wait,
        "unlock": peer.unlock,
        "pairs": peer.pairs,
        "handovers": peer.handovers,
    }
    print("ready redis-py", redis.__version__, flush=True)
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
