-- Purpose: SET name value NX EX ttl, in SQL: takes the lock if it is free or has expired.
-- Parameters: 1 name, 2 now, 3 when it expires, both in nanoseconds. Result: one changed row when taken.
-- Invariant: atomic. Whose lock it is, nobody writes down.
INSERT INTO naive_lock (name, expires_ns) VALUES (?1, ?3)
ON CONFLICT (name) DO UPDATE SET expires_ns = excluded.expires_ns WHERE expires_ns <= ?2;
