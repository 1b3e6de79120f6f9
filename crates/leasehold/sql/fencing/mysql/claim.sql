-- claim: the first access of a holder, in the transaction that reads what it will change. Raises the mark and locks its
-- row until the commit, so that the holder before can no longer write. Then run highest.sql: only if it answers this
-- very token may the holder read; MySQL's count of changed rows does not tell an equal token from a lower one.
-- Parameters: ? resource, ? token. Not run by Leasehold's own tests.
INSERT INTO leasehold_fencing (resource, token) VALUES (?, ?) AS new
ON DUPLICATE KEY UPDATE token = GREATEST(leasehold_fencing.token, new.token);
