// ShedLock's locks in a table of PostgreSQL as a peer: see ../README.md.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import net.javacrumbs.shedlock.core.LockConfiguration;
import net.javacrumbs.shedlock.core.SimpleLock;
import net.javacrumbs.shedlock.provider.jdbctemplate.JdbcTemplateLockProvider;
import org.postgresql.ds.PGSimpleDataSource;
import org.springframework.jdbc.core.JdbcTemplate;

public class Peer {
    private final JdbcTemplateLockProvider provider;
    private final Map<String, SimpleLock> held = new HashMap<>();

    Peer(URI store) {
        PGSimpleDataSource source = new PGSimpleDataSource();
        String[] login = store.getUserInfo().split(":");
        source.setUrl("jdbc:postgresql://" + store.getHost() + ":" + store.getPort() + store.getPath());
        source.setUser(login[0]);
        source.setPassword(login[1]);
        provider = new JdbcTemplateLockProvider(JdbcTemplateLockProvider.Configuration.builder()
                .withJdbcTemplate(new JdbcTemplate(source))
                .usingDbTime()
                .build());
    }

    static Duration ms(String text) {
        return Duration.ofMillis(Long.parseLong(text));
    }

    boolean lock(String name, Duration atMost, Duration atLeast) {
        Optional<SimpleLock> lock = provider.lock(new LockConfiguration(Instant.now(), name, atMost, atLeast));
        lock.ifPresent(it -> held.put(name, it));
        return lock.isPresent();
    }

    String waited(String name, Duration atMost, Duration patience) throws InterruptedException {
        Instant until = Instant.now().plus(patience);
        while (!lock(name, atMost, Duration.ZERO)) {
            if (Instant.now().isAfter(until)) {
                return "busy";
            }
            Thread.sleep(20);
        }
        return "granted";
    }

    String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "lock":
                return lock(words[1], ms(words[2]), Duration.ZERO) ? "granted" : "busy";
            case "hold":
                return lock(words[1], ms(words[2]), ms(words[3])) ? "granted" : "busy";
            case "wait":
                return waited(words[1], ms(words[2]), ms(words[3]));
            case "extend":
                Optional<SimpleLock> lock = held.remove(words[1]).extend(ms(words[2]), Duration.ZERO);
                lock.ifPresent(it -> held.put(words[1], it));
                return lock.isPresent() ? "extended" : "gone";
            case "unlock":
                // It does not say whether there was something to unlock.
                held.remove(words[1]).unlock();
                return "released";
            default:
                return "error unknown";
        }
    }

    public static void main(String[] arguments) throws Exception {
        Peer peer = new Peer(URI.create(System.getenv("PEER_STORE")));
        System.out.println("ready shedlock " + arguments[0]);
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
    }
}
