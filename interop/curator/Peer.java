// Curator's InterProcessMutex as a peer: see ../README.md.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.ExponentialBackoffRetry;

public class Peer {
    private final String store;
    private final CuratorFramework client;
    private final Map<String, InterProcessMutex> locks = new HashMap<>();

    Peer(String store) throws Exception {
        this.store = store;
        client = connect();
    }

    CuratorFramework connect() throws Exception {
        CuratorFramework made = CuratorFrameworkFactory.newClient(store, 2000, 15000, new ExponentialBackoffRetry(50, 5));
        made.start();
        made.blockUntilConnected();
        return made;
    }

    String acquire(String name, long millis) throws Exception {
        InterProcessMutex lock = new InterProcessMutex(client, "/locks/" + name);
        if (!lock.acquire(millis, TimeUnit.MILLISECONDS)) {
            return "busy";
        }
        locks.put(name, lock);
        return "granted";
    }

    String unlock(String name) throws Exception {
        locks.remove(name).release();
        return "released";
    }

    // Takes and gives back, so many times, by so many threads; with several, each has a lock of its own.
    String pairs(String name, int times, int threads) throws Exception {
        Thread[] all = new Thread[threads];
        long begin = System.nanoTime();
        for (int thread = 0; thread < threads; thread++) {
            String own = threads == 1 ? name : name + "-" + thread;
            all[thread] = new Thread(() -> take(own, times));
            all[thread].start();
        }
        for (Thread thread : all) {
            thread.join();
        }
        return "took " + (System.nanoTime() - begin);
    }

    void take(String name, int times) {
        try {
            InterProcessMutex lock = new InterProcessMutex(client, "/locks/" + name);
            for (int at = 0; at < times; at++) {
                lock.acquire();
                lock.release();
            }
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    // How long after this one begins to release does another client, which waits, hold the lock.
    String handovers(String name, int times) throws Exception {
        StringBuilder took = new StringBuilder("took");
        try (CuratorFramework first = connect(); CuratorFramework second = connect()) {
            InterProcessMutex one = new InterProcessMutex(first, "/locks/" + name);
            InterProcessMutex two = new InterProcessMutex(second, "/locks/" + name);
            for (int turn = 0; turn < times; turn++) {
                long[] got = new long[1];
                one.acquire();
                Thread other = new Thread(() -> got[0] = takenAt(two));
                other.start();
                // Long enough to wait for sure, and no multiple of the interval of who polls.
                Thread.sleep(120 + 37 * turn % 100);
                long begin = System.nanoTime();
                one.release();
                other.join();
                took.append(' ').append(got[0] - begin);
            }
        }
        return took.toString();
    }

    long takenAt(InterProcessMutex lock) {
        try {
            lock.acquire();
            long got = System.nanoTime();
            lock.release();
            return got;
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "lock":
                return acquire(words[1], 0);
            case "wait":
                return acquire(words[1], Long.parseLong(words[3]));
            case "unlock":
                return unlock(words[1]);
            case "pairs":
                return pairs(words[1], Integer.parseInt(words[2]), Integer.parseInt(words[3]));
            case "handovers":
                return handovers(words[1], Integer.parseInt(words[2]));
            default:
                return "error unknown";
        }
    }

    public static void main(String[] arguments) throws Exception {
        Peer peer = new Peer(System.getenv("PEER_STORE"));
        System.out.println("ready curator 5.9.0");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String said;
            try {
                said = peer.answer(line.split(" "));
            } catch (Exception error) { // The other side has to see whatever it is.
                said = "error " + error.toString().replace('\n', ' ');
            }
            System.out.println(said);
        }
        // What it holds stays until its session ends.
        Runtime.getRuntime().halt(0);
    }
}
