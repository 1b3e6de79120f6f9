-- Purpose: renews holds by their ttl, counted from now.
--
-- Arguments: names, ids and ttls of as many claims.
-- Reply: a row a claim: its number from 1, 3 renewed · 0 expired · 1 forced · 2 gone, and for how long it is valid.
-- Invariant: no hold is made, revived or shortened. Rows are locked in the order of their names.

CREATE OR REPLACE FUNCTION leasehold.renew(
    p_names bytea[], p_ids bytea[], p_ttls bigint[], OUT at integer, OUT outcome smallint, OUT span bigint
) RETURNS SETOF record LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    l leasehold.locks;
    c leasehold.claim;
    now bigint;
    place integer;
    freed boolean;
BEGIN
    FOR at IN SELECT i FROM unnest(p_names) WITH ORDINALITY AS u (name, i) ORDER BY u.name, i LOOP
        SELECT * INTO l FROM leasehold.locks AS k WHERE k.name = p_names[at] FOR NO KEY UPDATE;
        now := leasehold.now();
        outcome := 2;
        span := NULL;
        freed := false;
        FOR place IN 1 .. coalesce(cardinality(l.claims), 0) LOOP
            c := l.claims[place];
            freed := freed OR c.expires <= now;
            IF c.id <> p_ids[at] THEN CONTINUE; END IF;
            IF c.state IN (2, 3) AND c.expires > now THEN outcome := c.state - 2; END IF;
            IF c.state = 1 AND c.expires > now THEN
                outcome := 3;
                c.expires := greatest(c.expires, now + p_ttls[at]);
                span := c.expires - now;
                l.claims[place] := c;
            ELSIF c.state = 1 AND c.expires + c.lock_delay > now THEN
                outcome := 0;
            END IF;
        END LOOP;
        IF freed THEN l.claims := leasehold.expire(l.claims, now); END IF;
        IF freed OR outcome = 3 THEN PERFORM leasehold.settle(l, p_ids[at], freed, freed, now); END IF;
        RETURN NEXT;
    END LOOP;
END $$;
