-- Purpose: reads the locks in use whose names begin with a prefix and come after another name, as inspect.sql does.
-- Arguments: the prefix, the last name read, the number of names.
SELECT l.name, l.fence, leasehold.now(), record_send(c)
FROM (
    SELECT * FROM leasehold.locks AS k
    WHERE k.name > $2 AND substr(k.name, 1, length($1)) = $1 AND k.name >= $1 AND cardinality(k.claims) > 0
    ORDER BY k.name LIMIT $3
) AS l CROSS JOIN LATERAL unnest(l.claims) WITH ORDINALITY AS c
ORDER BY l.name, c.ordinality
