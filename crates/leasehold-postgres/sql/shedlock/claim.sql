-- Purpose: claims a lock in ShedLock's table, or says who has it and for how long.
--
-- Arguments: name, owner, ttl in microseconds. Words in braces stand for the names of the table and its columns.
-- Reply: at most one row: whether it is granted, for how long it is held from now, the owner, for how long that one has held
--   it. No row: another claim was faster, and this one has not seen it.
-- Invariant: a row is taken when its time is over, or by its owner, whose time is not shortened. Times are UTC without a
--   zone, on the server's clock, as with ShedLock's `usingDbTime`.
WITH taken AS (
    INSERT INTO {table} AS l ({name}, {lock_until}, {locked_at}, {locked_by})
    VALUES ($1, {now} + $3 * interval '1 microsecond', {now}, $2)
    ON CONFLICT ({name}) DO UPDATE SET
        {lock_until} = greatest(l.{lock_until}, {now} + $3 * interval '1 microsecond'),
        {locked_at} = CASE WHEN l.{lock_until} > {now} THEN l.{locked_at} ELSE {now} END,
        {locked_by} = $2
    WHERE l.{lock_until} <= {now} OR l.{locked_by} = $2
    RETURNING {lock_until}, {locked_at}
)
SELECT true, extract(epoch FROM {lock_until} - {now})::float8, $2, extract(epoch FROM {now} - {locked_at})::float8 FROM taken
UNION ALL
SELECT false, extract(epoch FROM {lock_until} - {now})::float8, {locked_by}, extract(epoch FROM {now} - {locked_at})::float8
FROM {table} WHERE {name} = $1 AND NOT EXISTS (SELECT FROM taken)
