"""What all peers in Python share: the benchmark, and the lines that they read and answer. See ../README.md."""

import sys
import threading
import time


class Measured:
    """A peer whose waiter(name) is a lock on a client of its own, with acquire and release."""

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


def serve(peer, name, version):
    """Answers each line with one line, until there are no more or `quit` comes."""
    verbs = {
        "lock": peer.lock,
        "wait": peer.wait,
        "unlock": peer.unlock,
        "pairs": peer.pairs,
        "handovers": peer.handovers,
    }
    print("ready", name, version, flush=True)
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "quit":
            return
        try:
            answer = verbs[verb](*words)
        except Exception as error:  # The other side has to see whatever it is.
            answer = f"error {type(error).__name__}: {error}".replace("\n", " ")
        print(answer, flush=True)
