-- Purpose: ends the hold of a lock in ShedLock's table, whoever has it.
--
-- Arguments: name.
-- Reply: a row for the hold that ended: for how long it would have lasted, its owner, for how long that one had held it.
WITH held AS (
    SELECT {lock_until} AS until FROM {table} WHERE {name} = $1 AND {lock_until} > {now} FOR UPDATE
)
UPDATE {table} AS l SET {lock_until} = date_trunc('milliseconds', {now}) FROM held WHERE l.{name} = $1
RETURNING extract(epoch FROM held.until - {now})::float8, l.{locked_by}, extract(epoch FROM {now} - l.{locked_at})::float8
