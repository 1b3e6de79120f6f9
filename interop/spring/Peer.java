// Spring's RedisLockRegistry and ShedLock as peers: see ../README.md.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ConcurrentModificationException;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import net.javacrumbs.shedlock.core.LockConfiguration;
import net.javacrumbs.shedlock.core.SimpleLock;
import net.javacrumbs.shedlock.provider.redis.spring.RedisLockProvider;
import org.springframework.data.redis.connection.lettuce.LettuceConnectionFactory;
import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.integration.redis.util.RedisLockRegistry;
import org.springframework.integration.redis.util.RedisLockRegistry.RedisLockType;

public class Peer {
    interface Library {
        boolean lock(String name, Duration ttl, Duration wait) throws Exception;

        // Whether it was still held.
        boolean unlock(String name) throws Exception;
    }

    static class Spring implements Library {
        private final RedisLockRegistry registry;

        Spring(LettuceConnectionFactory server) {
            registry = new RedisLockRegistry(server, "locks");
            registry.setRedisLockType(RedisLockType.PUB_SUB_LOCK);
        }

        public boolean lock(String name, Duration ttl, Duration wait) throws Exception {
            return registry.obtain(name).tryLock(wait, ttl);
        }

        public boolean unlock(String name) {
            try {
                registry.obtain(name).unlock();
                return true;
            } catch (ConcurrentModificationException gone) {
                return false;
            }
        }
    }

    static class ShedLock implements Library {
        private final RedisLockProvider provider;
        private final StringRedisTemplate redis;
        private final Map<String, SimpleLock> locks = new HashMap<>();
        private final Map<String, String> values = new HashMap<>();

        ShedLock(LettuceConnectionFactory server) {
            // Without this, which is not the default, its late unlock deletes the lock of the next.
            provider = new RedisLockProvider.Builder(server).safeUpdate(true).build();
            redis = new StringRedisTemplate(server);
        }

        // It does not wait: a job that is due is skipped, and comes again.
        public boolean lock(String name, Duration ttl, Duration wait) throws Exception {
            Instant until = Instant.now().plus(wait);
            Optional<SimpleLock> lock = attempt(name, ttl);
            while (lock.isEmpty() && Instant.now().isBefore(until)) {
                Thread.sleep(50);
                lock = attempt(name, ttl);
            }
            lock.ifPresent(held -> {
                locks.put(name, held);
                values.put(name, read(name));
            });
            return lock.isPresent();
        }

        private Optional<SimpleLock> attempt(String name, Duration ttl) {
            return provider.lock(new LockConfiguration(Instant.now(), name, ttl, Duration.ZERO));
        }

        private String read(String name) {
            return redis.opsForValue().get("job-lock:default:" + name);
        }

        // Its unlock answers nothing, so the key is compared before.
        public boolean unlock(String name) {
            boolean held = values.remove(name).equals(read(name));
            locks.remove(name).unlock();
            return held;
        }
    }

    static String answer(Library library, String[] words) throws Exception {
        switch (words[0]) {
            case "lock":
            case "wait":
                Duration ttl = Duration.ofMillis(Long.parseLong(words[2]));
                Duration wait = Duration.ofMillis(words.length > 3 ? Long.parseLong(words[3]) : 0);
                return library.lock(words[1], ttl, wait) ? "granted" : "busy";
            case "unlock":
                return library.unlock(words[1]) ? "released" : "gone";
            default:
                return "error unknown";
        }
    }

    public static void main(String[] arguments) throws Exception {
        URI store = URI.create(System.getenv("PEER_STORE"));
        LettuceConnectionFactory server = new LettuceConnectionFactory(store.getHost(), store.getPort());
        server.afterPropertiesSet();
        server.start();
        server.getConnection().ping();
        Library library = arguments[0].equals("spring") ? new Spring(server) : new ShedLock(server);
        System.out.println("ready " + arguments[0]);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            if (line.equals("quit")) {
                break;
            }
            String said;
            try {
                said = answer(library, line.split(" "));
            } catch (Exception error) { // The other side has to see whatever it is.
                said = "error " + error.toString().replace('\n', ' ');
            }
            System.out.println(said);
        }
        // What it holds stays until its time to live ends.
        Runtime.getRuntime().halt(0);
    }
}
