-- Purpose: tells for how long a member of a quorum has forgotten nothing. A grant that it forgot has ended when it has voted on
--   nothing for the longest lease.
--
-- Needs: SELECT, INSERT and UPDATE on leasehold.member for the users of quorums.
-- Reply: microseconds.
-- Invariant: `since` never goes back, but by call/promote.sql. A promoted standby may lack the last changes, and its timeline is
--   a new one. A server that was restarted has what it had on its disk, which is all if it synced both before and since. Of a server
--   that is asked for the first time nothing is known before its start, or before now if it was ever promoted.
--   The commit of the caller is waited for.

CREATE TABLE IF NOT EXISTS leasehold.member (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    history text NOT NULL,      -- system identifier and timeline
    started bigint NOT NULL,    -- the start of the server that has written this
    syncs boolean NOT NULL,     -- whether fsync was on since
    since bigint NOT NULL
);

CREATE OR REPLACE FUNCTION leasehold.remembers() RETURNS bigint LANGUAGE plpgsql SET lock_timeout = '500ms' AS $$
DECLARE
    v_now bigint := leasehold.now();
    v_started bigint := (date_part('epoch', pg_postmaster_start_time()) * 1000000)::bigint;
    v_syncs boolean := current_setting('fsync') = 'on';
    v_timeline text;
    v_since bigint;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    -- The usual case: nothing has changed since the row was written. A standby is another server with another start.
    SELECT m.since INTO v_since FROM leasehold.member AS m WHERE m.started = v_started AND (v_syncs OR NOT m.syncs);
    IF NOT FOUND THEN
        v_timeline := substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8);
        INSERT INTO leasehold.member AS m (history, started, syncs, since)
        SELECT s.system_identifier || '/' || v_timeline, v_started, v_syncs,
            CASE v_timeline WHEN '00000001' THEN v_started ELSE v_now END
        FROM pg_control_system() AS s
        ON CONFLICT (one) DO UPDATE SET history = excluded.history, started = excluded.started,
            syncs = excluded.syncs AND (m.syncs OR m.started <> excluded.started),
            since = CASE
                WHEN m.history <> excluded.history THEN v_now
                WHEN m.started = excluded.started OR (m.syncs AND excluded.syncs) THEN m.since
                ELSE greatest(m.since, excluded.started)
            END
        RETURNING since INTO v_since;
    END IF;
    RETURN greatest(v_now - v_since, 0);
END $$;

COMMENT ON SCHEMA leasehold IS 'Leasehold 1';
