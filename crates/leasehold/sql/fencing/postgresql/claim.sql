-- claim: the first access of a holder, in the transaction that reads what it will change. Raises the mark and locks its
-- row until the commit, so that the holder before can no longer write; only then may this one read.
-- Parameters: $1 resource text, $2 token bigint.
-- Rows changed: 1 = claimed; 0 = stale, a higher token was here: roll back and stop.
INSERT INTO leasehold_fencing (resource, token) VALUES ($1, $2)
ON CONFLICT (resource) DO UPDATE SET token = excluded.token WHERE excluded.token >= leasehold_fencing.token
RETURNING token;
