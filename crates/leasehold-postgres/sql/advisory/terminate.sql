-- Purpose: ends the sessions that have an advisory lock, and with them the lock; for a release by another client, and by force.
-- Arguments: key, space of keys, the name of the session or NULL for all, the milliseconds to wait for the end.
-- Reply: a row a session, as holders.sql, and whether it has ended.
WITH held AS MATERIALIZED (
    SELECT a.application_name, l.mode, l.pid, a.usename
    FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.granted AND l.locktype = 'advisory' AND l.objsubid = $2
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint = ($1 >> 32) & 4294967295 AND l.objid::bigint = $1 & 4294967295
        AND ($3 IS NULL OR a.application_name = $3)
)
SELECT application_name, mode, pid, usename, pg_terminate_backend(pid, $4) FROM held
