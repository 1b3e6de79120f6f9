-- Purpose: states the rules of `decide::lock_state` that several verbs need: expiry, grant, who can run, what is told.
--
-- Arguments: the claims of one name in order of arrival, and the time.
-- Invariant: the differential test compares them with the state machine of the other stores.

CREATE OR REPLACE FUNCTION leasehold.expire(p_claims leasehold.claim[], p_now bigint) RETURNS leasehold.claim[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    c leasehold.claim;
    kept leasehold.claim[] := '{}';
BEGIN
    FOREACH c IN ARRAY p_claims LOOP
        IF c.expires <= p_now THEN
            CONTINUE WHEN c.state <> 1 OR c.expires + c.lock_delay <= p_now;
            c.state := 2;
            c.since := c.expires;
            c.expires := c.expires + c.lock_delay;
        END IF;
        kept := array_append(kept, c);
    END LOOP;
    RETURN kept;
END $$;

-- Holders keep a claim out, and those ahead that keep their turn, and every exclusive one ahead of a shared one.
CREATE OR REPLACE FUNCTION leasehold.may_hold(p_claims leasehold.claim[], p_at integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    me leasehold.claim := p_claims[p_at];
    other leasehold.claim;
    at integer := 0;
    used numeric := 0;
BEGIN
    FOREACH other IN ARRAY p_claims LOOP
        at := at + 1;
        IF at <> p_at AND (other.state IN (1, 2) OR (other.state = 0 AND at < p_at
            AND (other.queueing = 2 OR (other.mode = 0 AND me.mode = 1)))) THEN
            IF me.mode = 0 OR (me.mode = 1 AND other.mode <> 1) THEN RETURN false; END IF;
            used := used + other.take;
        END IF;
    END LOOP;
    RETURN me.mode <> 2 OR used + me.take <= me.places;
END $$;

-- The waiters that could hold now, each counted as a holder for those behind it.
CREATE OR REPLACE FUNCTION leasehold.runnable(p_claims leasehold.claim[]) RETURNS SETOF leasehold.claim
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    c leasehold.claim;
    holders integer := 0;
    alone integer := 0;
    turns integer := 0;
    writers integer := 0;
    used numeric := 0;
    fits boolean;
BEGIN
    FOREACH c IN ARRAY p_claims LOOP
        IF c.state IN (1, 2) THEN
            holders := holders + 1;
            alone := alone + (c.mode <> 1)::integer;
            used := used + c.take;
        END IF;
    END LOOP;
    FOREACH c IN ARRAY p_claims LOOP
        CONTINUE WHEN c.state <> 0;
        fits := CASE c.mode
            WHEN 0 THEN holders = 0 AND turns = 0
            WHEN 1 THEN alone = 0 AND writers = 0
            ELSE used + c.take <= c.places
        END;
        IF fits THEN
            RETURN NEXT c;
            holders := holders + 1;
            alone := alone + (c.mode <> 1)::integer;
            used := used + c.take;
        ELSE
            turns := turns + (c.queueing = 2)::integer;
            writers := writers + (c.mode = 0)::integer;
            IF c.queueing = 2 THEN used := used + c.take; END IF;
        END IF;
    END LOOP;
END $$;

-- The channel of all changes of a lock.
CREATE OR REPLACE FUNCTION leasehold.channel(p_name bytea) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT 'leasehold_' || encode(substr(sha256(p_name), 1, 20), 'hex') $$;

-- Writes a lock back. If room was made, the waiters that can run are told, but for the caller's own; if something
-- visible has changed, so are those who watch. The payload is the first 32 bits of the id: not enough to release.
CREATE OR REPLACE FUNCTION leasehold.settle(
    l leasehold.locks, p_own bytea, p_freed boolean, p_changed boolean, p_now bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE leasehold.locks AS k SET fence = l.fence, claims = l.claims WHERE k.name = l.name;
    IF p_freed AND cardinality(l.claims) > 0 THEN
        PERFORM pg_notify('leasehold_' || to_hex(c.client), encode(substr(c.id, 1, 4), 'hex'))
        FROM leasehold.runnable(l.claims) AS c WHERE c.id <> p_own;
    END IF;
    IF p_changed AND l.watched_until > p_now THEN
        PERFORM pg_notify(leasehold.channel(l.name), '');
    END IF;
END $$;
