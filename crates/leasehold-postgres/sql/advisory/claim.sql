-- Purpose: takes an advisory lock for the session that asks, if it is free.
--
-- Arguments: key, space of keys (1 a bigint, 2 two integers), whether it is shared, the session's name, the milliseconds
--   after which the server ends the session if it is not heard of.
-- Reply: the server process, whether it is granted, the name, the milliseconds.
-- Invariant: the session has the lock at most once: it is not sent while the session may have it.
SELECT pg_backend_pid(), CASE WHEN $2 = 2 AND $3 THEN pg_try_advisory_lock_shared(($1 >> 32)::integer, (($1 << 32) >> 32)::integer)
        WHEN $2 = 2 THEN pg_try_advisory_lock(($1 >> 32)::integer, (($1 << 32) >> 32)::integer)
        WHEN $3 THEN pg_try_advisory_lock_shared($1)
        ELSE pg_try_advisory_lock($1)
    END, set_config('application_name', $4, false), set_config('idle_session_timeout', $5, false)
