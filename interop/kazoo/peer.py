"""kazoo's Lock as a peer: see ../README.md."""

import os

import kazoo
from kazoo.client import KazooClient
from kazoo.exceptions import LockTimeout

from shared import Measured, serve


class Peer(Measured):
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

    def waiter(self, name):
        return self.connect().Lock(f"/locks/{name}", "kazoo")

    def take(self, name, times):
        # All threads on one session, as one user of the library would have it.
        lock = self.client.Lock(f"/locks/{name}", "kazoo")
        for _ in range(times):
            lock.acquire()
            lock.release()


serve(Peer(os.environ["PEER_STORE"]), "kazoo", kazoo.__version__)
# What it holds stays until its session ends.
os._exit(0)
