-- Purpose: registers a server as a member of a quorum, and answers for how long it has forgotten nothing. Run on every
--   new connection: a restart breaks them all.
--
-- KEYS: 1 marker     string: `SINCE RUN MEMBERS LONGEST DURABLE`: since when (ms of TIME) nothing was forgotten, which run
--   of the server wrote it (`?` when claim.lua did), how many members there are, the longest lease in ms, `1` if
--   everything was on disk before it was answered
-- ARGV: 1 run id, 2 ms of TIME at which the server started, 3 `1` if nothing was flushed or evicted since, 4 members,
--   5 longest lease ms, 6 DURABLE as it is now
-- Reply: {0, ms for which nothing was forgotten} · {1, members, longest lease ms} it is registered with other figures
-- Invariant: SINCE never goes back. Another run has forgotten what the one before it did not have on disk.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local since, run, members, longest, durable =
    string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%S+) (%d+) (%d+) (%d)$')
if since and (members ~= ARGV[4] or longest ~= ARGV[5]) then
    return {1, tonumber(members), tonumber(longest)}
end
since = tonumber(since)
local started = tonumber(ARGV[2])
if not since then
    since = ARGV[3] == '1' and started or now
elseif run ~= ARGV[1] and not (durable == '1' and ARGV[6] == '1') then
    since = math.max(since, started)
end
redis.call('SET', KEYS[1], string.format('%d ', since) .. table.concat({ARGV[1], ARGV[4], ARGV[5], ARGV[6]}, ' '))
return {0, math.max(0, now - since)}
