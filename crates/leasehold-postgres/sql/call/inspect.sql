-- Purpose: reads one lock: its claims in order, the time, its name and its token. A lock without claims is one row of nulls.
SELECT c.id, c.state, c.mode, c.take, c.places, c.queueing, c.expires, c.since, c.lock_delay, c.client, c.fence,
    c.note, leasehold.now(), l.name, l.fence
FROM leasehold.locks AS l LEFT JOIN LATERAL unnest(l.claims) WITH ORDINALITY AS c ON true
WHERE l.name = $1 ORDER BY c.ordinality
