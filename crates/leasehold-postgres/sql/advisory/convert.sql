-- Purpose: makes the lock of a session shared, or exclusive if the session is alone, and never lets it go in between.
--
-- Arguments: key, space of keys, whether it is to be shared, the milliseconds as for claim.sql.
-- Reply: the server process, whether it is so now.
-- Invariant: the lock that it had is given up only after the other was granted.
WITH asked AS MATERIALIZED (
    SELECT set_config('idle_session_timeout', $4, false),
        CASE WHEN $2 = 2 AND $3 THEN pg_try_advisory_lock_shared(($1 >> 32)::integer, (($1 << 32) >> 32)::integer)
            WHEN $2 = 2 THEN pg_try_advisory_lock(($1 >> 32)::integer, (($1 << 32) >> 32)::integer)
            WHEN $3 THEN pg_try_advisory_lock_shared($1)
            ELSE pg_try_advisory_lock($1)
        END AS granted
)
SELECT pg_backend_pid(), CASE WHEN NOT granted THEN false
    WHEN $2 = 2 AND $3 THEN pg_advisory_unlock(($1 >> 32)::integer, (($1 << 32) >> 32)::integer)
    WHEN $2 = 2 THEN pg_advisory_unlock_shared(($1 >> 32)::integer, (($1 << 32) >> 32)::integer)
    WHEN $3 THEN pg_advisory_unlock($1)
    ELSE pg_advisory_unlock_shared($1)
END FROM asked
