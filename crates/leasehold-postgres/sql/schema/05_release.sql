-- Purpose: ends the hold of a claim, or its waiting, and tells who can run then.
--
-- Arguments: name, id, and for how long the id is refused from now on: a request of it may still be on its way.
-- Reply: whether there was something to end.
-- Invariant: no other claim is touched. A lock-delay that runs is not cut short.

CREATE OR REPLACE FUNCTION leasehold.release(p_name bytea, p_id bytea, p_refuse bigint) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    l leasehold.locks;
    c leasehold.claim;
    now bigint;
    kept leasehold.claim[] := '{}';
    had smallint;
BEGIN
    IF p_refuse > 0 THEN
        INSERT INTO leasehold.locks (name, fence) VALUES (p_name, 0) ON CONFLICT DO NOTHING;
    ELSE
        -- The usual case in one statement: nobody else holds, waits or watches, and no delay can begin while it waits for the row.
        now := leasehold.now();
        UPDATE leasehold.locks AS k SET claims = '{}'
        WHERE k.name = p_name AND cardinality(k.claims) = 1 AND (k.claims[1]).id = p_id AND (k.claims[1]).state < 2
            AND (k.claims[1]).expires > now AND (k.claims[1]).lock_delay = 0 AND k.watched_until <= now;
        IF FOUND THEN RETURN true; END IF;
    END IF;
    SELECT * INTO l FROM leasehold.locks AS k WHERE k.name = p_name FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    now := leasehold.now();
    FOREACH c IN ARRAY leasehold.expire(l.claims, now) LOOP
        IF c.id = p_id THEN had := c.state; END IF;
        IF c.id <> p_id OR c.state = 2 THEN kept := array_append(kept, c); END IF;
    END LOOP;
    IF p_refuse > 0 AND had IS DISTINCT FROM 2 THEN
        kept := array_append(kept, ROW(
            p_id, 3, 0, 0, 0, 0, now + p_refuse, now, 0, 0, NULL, NULL
        )::leasehold.claim);
    END IF;
    IF kept IS DISTINCT FROM l.claims THEN
        l.claims := kept;
        PERFORM leasehold.settle(l, p_id, true, true, now);
    END IF;
    RETURN coalesce(had IN (0, 1), false);
END $$;

-- Purpose: ends every hold and delay of a lock, raises its token, and answers the claims that it ended. Their holders
--   hear of it: the claims stay, as released by force, until they would have expired.
CREATE OR REPLACE FUNCTION leasehold.force_release(p_name bytea) RETURNS SETOF leasehold.claim
LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    l leasehold.locks;
    c leasehold.claim;
    now bigint;
    kept leasehold.claim[] := '{}';
BEGIN
    SELECT * INTO l FROM leasehold.locks AS k WHERE k.name = p_name FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    now := leasehold.now();
    FOREACH c IN ARRAY leasehold.expire(l.claims, now) LOOP
        IF c.state IN (1, 2) THEN RETURN NEXT c; END IF;
        CONTINUE WHEN c.state = 2;
        IF c.state = 1 THEN c.state := 3; END IF;
        kept := array_append(kept, c);
    END LOOP;
    l.claims := kept;
    l.fence := greatest(l.fence + 1, now - 5000000);
    PERFORM leasehold.settle(l, '', true, true, now);
END $$;
