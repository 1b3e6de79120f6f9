-- Purpose: claims a lock: grants it, or says who has it and for how long, in one call.
--
-- Arguments: name, id, mode, take, places, queueing, whether a hold is only amended, ttl, lock-delay, client, least
--   token, least token of a new grant, note.
-- Reply: leasehold.answer.
-- Invariant: a claim is granted once, however often it is repeated; an amendment never makes a hold. The token is
--   max(fence + 1, least tokens, now - 5 s). A new token waits for transactions that have checked in with an older one.

CREATE OR REPLACE FUNCTION leasehold.claim(
    p_name bytea, p_id bytea, p_mode smallint, p_take bigint, p_places bigint, p_queueing smallint, p_amend boolean,
    p_ttl bigint, p_delay bigint, p_client bigint, p_floor bigint, p_wish bigint, p_note bytea
) RETURNS leasehold.answer LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    l leasehold.locks;
    c leasehold.claim;
    me leasehold.claim;
    holder leasehold.claim;
    now bigint;
    mine integer;
    at integer := 0;
    freed boolean := false;
    is_new boolean;
    ahead integer := 0;
    soonest bigint;
    again bigint;
    token bigint;
    verdict smallint := 2;
BEGIN
    -- The usual case in two statements: the row is there, nobody holds, waits or watches, and no transaction has checked in.
    now := leasehold.now();
    IF NOT p_amend AND p_take <= p_places THEN
        SELECT greatest(k.fence + 1, p_floor, p_wish, now - 5000000) INTO token FROM leasehold.locks AS k
        WHERE k.name = p_name AND k.claims = '{}' AND k.watched_until <= now FOR UPDATE SKIP LOCKED;
        IF token < 9007199254740992 THEN
            UPDATE leasehold.locks AS k SET fence = token, claims = ARRAY[ROW(
                p_id, 1, p_mode, p_take, p_places, p_queueing, now + p_ttl, now, p_delay, p_client, token, p_note
            )::leasehold.claim] WHERE k.name = p_name;
            RETURN ROW(0, token, p_ttl, NULL, NULL, now)::leasehold.answer;
        END IF;
    END IF;

    LOOP
        SELECT * INTO l FROM leasehold.locks AS k WHERE k.name = p_name FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        now := leasehold.now();
        IF p_amend THEN RETURN ROW(4, 2, NULL, NULL, NULL, now)::leasehold.answer; END IF;
        token := greatest(p_floor, p_wish, now - 5000000);
        INSERT INTO leasehold.locks (name, fence, claims) VALUES (p_name, token, ARRAY[ROW(
            p_id, 1, p_mode, p_take, p_places, p_queueing, now + p_ttl, now, p_delay, p_client, token, p_note
        )::leasehold.claim]) ON CONFLICT DO NOTHING;
        IF FOUND THEN RETURN ROW(0, token, p_ttl, NULL, NULL, now)::leasehold.answer; END IF;
    END LOOP;

    now := leasehold.now();
    FOREACH c IN ARRAY l.claims LOOP
        IF c.expires <= now THEN
            l.claims := leasehold.expire(l.claims, now);
            freed := true;
            EXIT;
        END IF;
    END LOOP;
    FOREACH c IN ARRAY l.claims LOOP
        at := at + 1;
        IF c.id = p_id THEN
            mine := at;
            me := c;
        END IF;
    END LOOP;
    IF me.state IN (2, 3) THEN RETURN ROW(4, me.state - 2, NULL, NULL, NULL, now)::leasehold.answer; END IF;
    IF p_amend AND me.state IS DISTINCT FROM 1 THEN RETURN ROW(4, 2, NULL, NULL, NULL, now)::leasehold.answer; END IF;

    is_new := mine IS NULL;
    IF me.state IS DISTINCT FROM 1 THEN
        FOREACH c IN ARRAY l.claims LOOP
            IF c.id <> p_id AND c.state <> 3 AND c.places <> p_places THEN
                RETURN ROW(3, nullif(c.places, 0), NULL, NULL, NULL, now)::leasehold.answer;
            END IF;
        END LOOP;
        IF is_new THEN
            mine := cardinality(l.claims) + 1;
            me.id := p_id;
            me.state := 0;
            me.since := now;
        ELSE
            freed := freed OR me.mode <> p_mode OR me.queueing <> p_queueing OR me.take <> p_take;
        END IF;
        verdict := 1;
    ELSIF (me.mode, me.take, me.places) = (p_mode, p_take, p_places)
        OR (me.mode = 0 AND p_mode = 1)
        OR (me.mode = 2 AND p_mode = 2 AND p_take <= me.take AND p_places = me.places)
        OR (me.mode = 1 AND p_mode = 0
            AND NOT EXISTS (SELECT FROM unnest(l.claims) AS o WHERE o.id <> p_id AND o.state IN (1, 2)))
    THEN
        verdict := 0;
        freed := freed OR me.mode <> p_mode OR me.take <> p_take;
    END IF;

    IF verdict < 2 THEN
        me.mode := p_mode;
        me.take := p_take;
        me.places := p_places;
        me.queueing := p_queueing;
        me.expires := greatest(me.expires, now + p_ttl);
        me.lock_delay := p_delay;
        me.client := p_client;
        me.note := p_note;
        l.claims[mine] := me;
    END IF;
    IF verdict = 0 THEN
        me.fence := greatest(me.fence, p_floor);
        l.claims[mine] := me;
        l.fence := greatest(l.fence, p_floor);
        PERFORM leasehold.settle(l, p_id, freed, true, now);
        RETURN ROW(0, me.fence, me.expires - now, NULL, NULL, now)::leasehold.answer;
    END IF;
    IF verdict = 1 AND leasehold.may_hold(l.claims, mine) THEN
        PERFORM FROM leasehold.locks AS k WHERE k.name = p_name FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            token := greatest(l.fence + 1, p_floor, p_wish, now - 5000000);
            IF token >= 9007199254740992 THEN
                RETURN ROW(5, NULL, NULL, NULL, NULL, now)::leasehold.answer;
            END IF;
            me.state := 1;
            me.since := now;
            me.expires := now + p_ttl;
            me.fence := token;
            l.fence := token;
            l.claims[mine] := me;
            PERFORM leasehold.settle(l, p_id, freed, true, now);
            RETURN ROW(0, token, p_ttl, NULL, NULL, now)::leasehold.answer;
        END IF;
        -- A transaction that has checked in with the last token is still open.
        soonest := 20000;
    END IF;

    at := 0;
    FOREACH c IN ARRAY l.claims LOOP
        at := at + 1;
        IF c.id <> p_id AND (c.state IN (1, 2) OR (c.state = 0 AND at < mine)) THEN
            ahead := ahead + 1;
            soonest := least(soonest, c.expires - now);
            IF c.state <> 0 AND holder.id IS NULL THEN holder := c; END IF;
        END IF;
    END LOOP;
    again := greatest(least(coalesce(soonest, p_ttl), p_ttl / 3), 1000);
    IF verdict = 1 AND p_queueing = 0 THEN
        verdict := 2;
        IF NOT is_new THEN
            freed := true;
            l.claims := l.claims[:mine - 1] || l.claims[mine + 1:];
        ELSE
            l.claims := l.claims[:mine - 1];
        END IF;
    END IF;
    IF freed OR verdict = 1 THEN
        PERFORM leasehold.settle(l, p_id, freed, freed OR is_new, now);
    END IF;
    RETURN ROW(verdict, NULL, again, CASE WHEN p_queueing > 0 THEN ahead END, holder, now)::leasehold.answer;
END $$;
