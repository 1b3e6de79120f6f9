"""A lock by pymemcache's add as a peer: see ../README.md."""

import math
import os
import sys
import time
import uuid

import pymemcache
from pymemcache.client.base import Client


class Peer:
    def __init__(self, url):
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


def main():
    peer = Peer(os.environ["PEER_STORE"])
    verbs = {"lock": peer.lock, "wait": peer.wait, "unlock": peer.unlock}
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
