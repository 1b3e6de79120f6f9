"""A lock by pymemcache's add as a peer: see ../README.md."""

import math
import os
import time
import uuid

import pymemcache
from pymemcache.client.base import Client

from shared import Measured, serve


class Peer(Measured):
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


serve(Peer(os.environ["PEER_STORE"]), "pymemcache", pymemcache.__version__)
