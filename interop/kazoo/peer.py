"""kazoo's Lock as a peer: see ../README.md."""

import os
import sys
import threading
import time

import kazoo
from kazoo.client import KazooClient
from kazoo.exceptions import LockTimeout


class Peer:
    def __init__(self, store):
        self.store = store
        self.client = self.connect()
        self.locks = {}

    def connect(self):
        client = KazooClient(hosts=self.store, timeout=2.0)
        client.start()
        return client

    def lock(self, name, ttl_ms):
        return self.acquire(name, blocking=False)

    def wait(self, name, ttl_ms, timeout_ms):
        return self.acquire(name, timeout=int(timeout_ms) / 1000)

    def acquire(self, name, **how):
        lock = self.client.Lock(f"/locks/{name}", "kazoo")
        try:
            if not lock.acquire(**how):
                return "busy"
        except LockTimeout:
            return "busy"
        self.locks[name] = lock
        return "granted"

    def unlock(self, name):
        return "released" if self.locks.pop(name).release() else "gone"

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
        lock = self.client.Lock(f"/locks/{name}", "kazoo")
        for _ in range(times):
            lock.acquire()
            lock.release()

    def handovers(self, name, times):
        """How long after this one begins to release does another client, which waits, hold the lock."""
        clients = [self.connect(), self.connect()]
        one, two = [client.Lock(f"/locks/{name}", "kazoo") for client in clients]
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
        for client in clients:
            client.stop()
            client.close()
        return " ".join(["took", *took])


def main():
    peer = Peer(os.environ["PEER_STORE"])
    verbs = {
        "lock": peer.lock,
        "wait": peer.wait,
        "unlock": peer.unlock,
        "pairs": peer.pairs,
        "handovers": peer.handovers,
    }
    print("ready kazoo", kazoo.__version__, flush=True)
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            answer = verbs[verb](*words)
        except Exception as error:  # The other side has to see whatever it is.
            answer = f"error {type(error).__name__}: {error}".replace("\n", " ")
        print(answer, flush=True)
    # What it holds stays until its session ends.
    os._exit(0)


main()
