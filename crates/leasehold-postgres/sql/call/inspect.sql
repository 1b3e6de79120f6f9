-- Purpose: reads one lock: its name, its token, the time, and a row for each of its claims in order, in binary form as in
--   claim.sql. A lock without claims is one row with a null.
SELECT l.name, l.fence, leasehold.now(), record_send(c)
FROM leasehold.locks AS l LEFT JOIN LATERAL unnest(l.claims) WITH ORDINALITY AS c ON true
WHERE l.name = $1 ORDER BY c.ordinality
