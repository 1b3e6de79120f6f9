"""PostgreSQL's advisory locks by psycopg as a peer: see ../README.md."""

import os
import time

import psycopg

from shared import Measured, serve


class Peer(Measured):
    """One session, whose locks end with it: a time to live is of no use to them."""

    def __init__(self, url):
        self.url = url
        self.session = psycopg.connect(url, autocommit=True)

    def ask(self, function, name):
        key = "('x' || substr(md5(%s), 1, 16))::bit(64)::bigint"
        return self.session.execute(f"SELECT {function}({key})", (name,)).fetchone()[0]

    def lock(self, name, ttl_ms):
        return "granted" if self.ask("pg_try_advisory_lock", name) else "busy"

    def wait(self, name, ttl_ms, timeout_ms):
        end = time.monotonic() + int(timeout_ms) / 1000
        while self.lock(name, ttl_ms) == "busy":
            if time.monotonic() >= end:
                return "busy"
            time.sleep(0.02)
        return "granted"

    def unlock(self, name):
        return "released" if self.ask("pg_advisory_unlock", name) else "gone"

    def waiter(self, name):
        return Waiter(Peer(self.url), name)


class Waiter:
    """One name in a session of its own, for the benchmark. It is woken by the server."""

    def __init__(self, peer, name):
        self.peer = peer
        self.name = name

    def acquire(self):
        if self.peer.lock(self.name, 0) == "busy":
            self.peer.ask("pg_advisory_lock", self.name)

    def release(self):
        return self.peer.unlock(self.name)


serve(Peer(os.environ["PEER_STORE"]), "psycopg", psycopg.__version__)
