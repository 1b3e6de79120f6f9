-- Purpose: calls leasehold.claim. Arguments and reply: there; the time comes after the columns of the holder, and the
--   start of the server last.
SELECT (a.holder).id, (a.holder).state, (a.holder).mode, (a.holder).take, (a.holder).places, (a.holder).queueing,
    (a.holder).expires, (a.holder).since, (a.holder).lock_delay, (a.holder).client, (a.holder).fence,
    (a.holder).note, a.now, a.standing, a.number, a.span, a.ahead,
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
FROM leasehold.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS a
