-- Purpose: ends a hold in ShedLock's table.
--
-- Arguments: name, owner.
-- Reply: a row if there was one to end.
-- Invariant: the row stays, as ShedLock leaves it. Milliseconds, for a column that rounds up would still hold.
UPDATE {table} SET {lock_until} = date_trunc('milliseconds', {now})
WHERE {name} = $1 AND {locked_by} = $2 AND {lock_until} > {now} RETURNING true
