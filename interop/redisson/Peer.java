// Redisson's locks as a peer: see ../README.md.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.redisson.Redisson;
import org.redisson.api.RFencedLock;
import org.redisson.api.RLock;
import org.redisson.api.RPermitExpirableSemaphore;
import org.redisson.api.RedissonClient;
import org.redisson.config.BaseMasterSlaveServersConfig;
import org.redisson.config.ClusterServersConfig;
import org.redisson.config.Config;
import org.redisson.config.SentinelServersConfig;

public class Peer {
    private final RedissonClient client;

    Peer(String store) {
        Config config = new Config();
        String[] parts = store.split("://|/");
        if (parts[0].equals("redis")) {
            config.useSingleServer().setAddress(store).setConnectionPoolSize(8).setConnectionMinimumIdleSize(2);
        } else {
            BaseMasterSlaveServersConfig<?> several;
            if (parts[0].equals("redis+sentinel")) {
                SentinelServersConfig sentinels = config.useSentinelServers().setMasterName(parts[2]);
                for (String address : parts[1].split(",")) {
                    sentinels.addSentinelAddress("redis://" + address);
                }
                several = sentinels;
            } else {
                ClusterServersConfig cluster = config.useClusterServers();
                for (String address : parts[1].split(",")) {
                    cluster.addNodeAddress("redis://" + address);
                }
                several = cluster;
            }
            several.setMasterConnectionPoolSize(8).setSlaveConnectionPoolSize(8);
            several.setMasterConnectionMinimumIdleSize(2).setSlaveConnectionMinimumIdleSize(2);
        }
        config.setLockWatchdogTimeout(4000);
        client = Redisson.create(config);
    }

    // A time to live of 0 leaves the renewal to the watchdog.
    String acquire(RLock lock, String ttl, String wait) throws Exception {
        long lease = Long.parseLong(ttl) == 0 ? -1 : Long.parseLong(ttl);
        return lock.tryLock(Long.parseLong(wait), lease, TimeUnit.MILLISECONDS) ? "granted" : "busy";
    }

    String unlock(RLock lock) {
        try {
            lock.unlock();
            return "released";
        } catch (IllegalMonitorStateException gone) {
            return "gone";
        }
    }

    // Adds to the number in a file, so many times, with a token each.
    String count(String name, String file, int times) throws Exception {
        RFencedLock lock = client.getFencedLock(name);
        Path path = Path.of(file);
        for (int at = 0; at < times; at++) {
            long token = lock.lockAndGetToken();
            String[] words = Files.readString(path).trim().split(" ");
            if (Long.parseLong(words[1]) >= token) {
                return "error token " + token + " after " + words[1];
            }
            // In place: a file that is cut off first is written to the disk.
            String text = String.format("%020d %020d", Long.parseLong(words[0]) + 1, token);
            Files.writeString(path, text, StandardOpenOption.WRITE);
            lock.unlock();
        }
        return "counted";
    }

    // What stands in a critical section: it adds to the number in a file, and nobody asks whether the lock is still held.
    String add(String file) throws Exception {
        long number = Long.parseLong(Files.readString(Path.of(file)).trim());
        Files.writeString(Path.of(file), Long.toString(number + 1));
        return "written";
    }

    String lockWithToken(String name, String ttl, String wait) throws Exception {
        RFencedLock lock = client.getFencedLock(name);
        long ms = Long.parseLong(wait);
        return "granted " + lock.tryLockAndGetToken(ms, Long.parseLong(ttl), TimeUnit.MILLISECONDS);
    }

    String acquirePermit(String name, String ttl, String wait) throws Exception {
        RPermitExpirableSemaphore semaphore = client.getPermitExpirableSemaphore(name);
        String id = semaphore.tryAcquire(Long.parseLong(wait), Long.parseLong(ttl), TimeUnit.MILLISECONDS);
        return id == null ? "busy" : "granted " + id;
    }

    // How often so many threads lock and unlock a name each, within a time.
    String pairs(String name, int threads, long ms) throws Exception {
        AtomicLong pairs = new AtomicLong();
        long until = System.nanoTime() + ms * 1_000_000;
        Thread[] all = new Thread[threads];
        for (int at = 0; at < threads; at++) {
            RLock lock = client.getLock(name + at);
            all[at] = new Thread(() -> {
                while (System.nanoTime() < until) {
                    lock.lock();
                    lock.unlock();
                    pairs.incrementAndGet();
                }
            });
            all[at].start();
        }
        for (Thread thread : all) {
            thread.join();
        }
        return Long.toString(pairs.get());
    }

    String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "lock":
                return acquire(client.getLock(words[1]), words[2], "0");
            case "wait":
                return acquire(client.getLock(words[1]), words[2], words[3]);
            case "unlock":
                return unlock(client.getLock(words[1]));
            case "read":
                return acquire(client.getReadWriteLock(words[1]).readLock(), words[2], "0");
            case "unread":
                return unlock(client.getReadWriteLock(words[1]).readLock());
            case "write":
                return acquire(client.getReadWriteLock(words[1]).writeLock(), words[2], "0");
            case "unwrite":
                return unlock(client.getReadWriteLock(words[1]).writeLock());
            case "spin":
                return acquire(client.getSpinLock(words[1]), words[2], "0");
            case "unspin":
                return unlock(client.getSpinLock(words[1]));
            case "waitread":
                return acquire(client.getReadWriteLock(words[1]).readLock(), words[2], words[3]);
            case "waitwrite":
                return acquire(client.getReadWriteLock(words[1]).writeLock(), words[2], words[3]);
            case "permits":
                client.getPermitExpirableSemaphore(words[1]).trySetPermits(Integer.parseInt(words[2]));
                return "free " + client.getPermitExpirableSemaphore(words[1]).availablePermits();
            case "permit":
                return acquirePermit(words[1], words[2], words[3]);
            case "unpermit":
                return client.getPermitExpirableSemaphore(words[1]).tryRelease(words[2]) ? "released" : "gone";
            case "pairs":
                return pairs(words[1], Integer.parseInt(words[2]), Long.parseLong(words[3]));
            case "add":
                return add(words[1]);
            case "fenced":
                return lockWithToken(words[1], words[2], words[3]);
            case "count":
                return count(words[1], words[2], Integer.parseInt(words[3]));
            default:
                return "error unknown";
        }
    }

    public static void main(String[] arguments) throws Exception {
        Peer peer = new Peer(System.getenv("PEER_STORE"));
        System.out.println("ready redisson " + arguments[0]);
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
        // What it holds stays until its time to live ends.
        Runtime.getRuntime().halt(0);
    }
}
