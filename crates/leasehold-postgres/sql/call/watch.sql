-- Purpose: asks for news of changes of some locks for the next minute.
-- Arguments: the names.
INSERT INTO leasehold.locks AS l (name, fence, watched_until)
SELECT n, 0, leasehold.now() + 60000000 FROM unnest($1) AS n ORDER BY n
ON CONFLICT (name) DO UPDATE SET watched_until = excluded.watched_until
