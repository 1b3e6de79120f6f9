-- Purpose: calls leasehold.force_release. Arguments and reply: there; the time comes last.
SELECT c.id, c.state, c.mode, c.take, c.places, c.queueing, c.expires, c.since, c.lock_delay, c.client, c.fence,
    c.note, leasehold.now() FROM leasehold.force_release($1) AS c
