-- Purpose: deletes a lock whoever holds it, and answers the value that its holder set.
--
-- KEYS: 1 the lock
-- ARGV: none.
-- Reply: {value or nil, ms left or -1 without end}
-- Invariant: a key of another type is no lock and stays.

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then return value end
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
return {value, left}
