-- Purpose: asks for news of changes of some locks for the next minute.
-- Arguments: the names.
-- Reply: the channel of each, which is to be listened to before the lock is looked at.
INSERT INTO leasehold.locks AS l (name, fence, watched_until)
SELECT n, 0, leasehold.now() + 60000000 FROM unnest($1) AS n ORDER BY n
ON CONFLICT (name) DO UPDATE SET watched_until = excluded.watched_until
RETURNING leasehold.channel(l.name)
