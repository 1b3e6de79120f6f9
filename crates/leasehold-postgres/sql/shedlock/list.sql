-- Purpose: reads the holds in ShedLock's table.
--
-- Arguments: the beginning of names; whether it is a whole name.
-- Reply: a row a hold: for how long it lasts, its owner, for how long that one has held it, the name.
SELECT extract(epoch FROM {lock_until} - {now})::float8, {locked_by}, extract(epoch FROM {now} - {locked_at})::float8, {name}
FROM {table} WHERE CASE WHEN $2 THEN {name} = $1 ELSE starts_with({name}, $1) END AND {lock_until} > {now}
