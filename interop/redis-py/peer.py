"""redis-py's Lock as a peer: see ../README.md."""

import os

import redis
from redis.exceptions import LockError

from shared import Measured, serve


class Peer(Measured):
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

    def waiter(self, name):
        # Not of a thread: the one that waits hands it to the one that asked.
        return redis.Redis.from_url(self.url).lock(name, timeout=30, thread_local=False)


serve(Peer(os.environ["PEER_STORE"]), "redis-py", redis.__version__)
