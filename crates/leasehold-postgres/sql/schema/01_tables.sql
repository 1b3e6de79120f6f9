-- Purpose: makes the schema `leasehold`: one row a lock name, with its claims in order of arrival.
--
-- Needs: CREATE on the database, no superuser. Others need USAGE on the schema, and SELECT, INSERT and UPDATE on
--   leasehold.locks; the functions run with the rights of their caller.
-- Invariant: a row stays when its last claim goes, for its `fence` is the highest token that was granted for the name.
--   Names, ids and notes are bytes, so that no encoding and no collation of the database changes them. Times are
--   microseconds since 1970 on the server's clock.

CREATE SCHEMA IF NOT EXISTS leasehold;

DO $$ BEGIN
    IF to_regtype('leasehold.claim') IS NULL THEN
        CREATE TYPE leasehold.claim AS (
            id bytea,            -- 16 bytes, the proof of ownership
            state smallint,      -- 0 waits, 1 holds, 2 ended without a release and delays, 3 was released by force
            mode smallint,       -- 0 exclusive, 1 shared, 2 permits
            take bigint,         -- permits that it takes; 0 for locks
            places bigint,       -- permits that there are; 0 for locks
            queueing smallint,   -- 0 does not wait, 1 may be overtaken, 2 keeps its turn
            expires bigint,
            since bigint,        -- in this state
            lock_delay bigint,   -- microseconds for which the lock stays shut after an unclean end
            client bigint,       -- names the channel of its client: leasehold_ and the number in hexadecimal digits
            fence bigint,        -- the token of its grant
            note bytea
        );
        CREATE TYPE leasehold.answer AS (
            standing smallint,   -- 0 granted, 1 waiting, 2 held, 3 another limit, 4 gone, 5 the counter is at its end
            number bigint,       -- 0: the token; 3: the limit, or NULL; 4: 0 expired, 1 forced, 2 gone
            span bigint,         -- 0: valid for; 1 and 2: ask again in
            ahead integer,       -- 1 and 2: claims that come first
            holder leasehold.claim,
            now bigint
        );
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS leasehold.locks (
    name bytea PRIMARY KEY,
    fence bigint NOT NULL,
    watched_until bigint NOT NULL DEFAULT 0,
    claims leasehold.claim[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

CREATE OR REPLACE FUNCTION leasehold.now() RETURNS bigint LANGUAGE sql AS
    $$ SELECT (date_part('epoch', clock_timestamp()) * 1000000)::bigint $$;
