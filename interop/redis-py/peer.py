"""redis-py's Lock as a peer: see ../README.md."""

import os
import sys

import redis
from redis.exceptions import LockError


class Peer:
    def __init__(self, url):
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


def main():
    peer = Peer(os.environ["PEER_STORE"])
    verbs = {"lock": peer.lock, "wait": peer.wait, "unlock": peer.unlock}
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
