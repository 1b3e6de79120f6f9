-- Purpose: reads the sessions that have an advisory lock.
-- Arguments: key, space of keys.
-- Reply: a row a session: its name, the mode, its process, its user.
SELECT a.application_name, l.mode, l.pid, a.usename
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.locktype = 'advisory' AND l.objsubid = $2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint = ($1 >> 32) & 4294967295 AND l.objid::bigint = $1 & 4294967295
