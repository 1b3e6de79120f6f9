"""PostgreSQL's advisory locks by psycopg as a peer: see ../README.md."""

import os

import psycopg

from shared import Measured, serve


class Peer(Measured):
    """One session, whose locks end with it: a time to live is of no use to them; `shared` in its place is for readers."""

    def __init__(self, url):
        self.url = url
        self.session = psycopg.connect(url, autocommit=True)

    def ask(self, function, name):
        """A number is the key, two with a comma between are two keys; any other name is hashed."""
        keys = name.split(",")
        if all(key.removeprefix("-").isdigit() for key in keys):
            kind = "bigint" if len(keys) == 1 else "integer"
            key = ", ".join(f"'{key}'::{kind}" for key in keys)
            return self.session.execute(f"SELECT {function}({key})").fetchone()[0]
        key = "('x' || substr(md5(%s), 1, 16))::bit(64)::bigint"
        return self.session.execute(f"SELECT {function}({key})", (name,)).fetchone()[0]

    def lock(self, name, ttl_ms):
        shared = "_shared" if ttl_ms == "shared" else ""
        return "granted" if self.ask(f"pg_try_advisory_lock{shared}", name) else "busy"

    def wait(self, name, ttl_ms, timeout_ms):
        self.session.execute(f"SET lock_timeout = {int(timeout_ms)}")
        try:
            self.ask("pg_advisory_lock", name)
        except psycopg.errors.LockNotAvailable:
            return "busy"
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
