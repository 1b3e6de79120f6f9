-- Purpose: renews holds in ShedLock's table by their ttl, counted from now.
--
-- Arguments: names, owners and ttls in microseconds, of as many claims.
-- Reply: a row a claim in order: for how long it is held from now; NULL if it is not.
-- Invariant: no hold is made, revived or shortened.
WITH asked AS (
    SELECT * FROM unnest($1, $2, $3) WITH ORDINALITY AS a (name, owner, ttl, place)
), renewed AS (
    UPDATE {table} AS l SET {lock_until} = greatest(l.{lock_until}, {now} + a.ttl * interval '1 microsecond') FROM asked AS a
    WHERE l.{name} = a.name AND l.{locked_by} = a.owner AND l.{lock_until} > {now}
    RETURNING a.name, a.owner, l.{lock_until} AS until
)
SELECT extract(epoch FROM r.until - {now})::float8
FROM asked AS a LEFT JOIN renewed AS r ON r.name = a.name AND r.owner = a.owner ORDER BY a.place
