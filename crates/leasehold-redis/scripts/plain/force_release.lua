-- Purpose: deletes a lock whoever holds it, and answers the value that its holder set.
--
-- KEYS: 1 the lock
-- ARGV: 1 the channel on which the release is announced (Spring's alone)
-- Reply: {value or nil, ms left or -1 without end}
-- Invariant: a key of another type is no lock and stays.

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then return value end
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
if ARGV[1] then redis.pcall('PUBLISH', ARGV[1], KEYS[1]) end
return {value, left}
