-- Purpose: asks that changes of a lock are announced for a while.
--
-- KEYS: 1 meta, 2 hold, 3 fence of prelude.lua.
-- ARGV: 1 for how many ms.
-- Reply: until when they are announced, in ms of TIME
-- Invariant: nobody's observation is shortened. The key lives at least as long. A token that was reserved is none any more, so
--   that no grant by it goes unannounced.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local meta = redis.call('HMGET', KEYS[1], 'o', 't')
local observed = math.max(tonumber(meta[1]) or 0, now + tonumber(ARGV[1]))
if (tonumber(meta[1]) or 0) <= now and redis.call('EXISTS', KEYS[3]) == 1 then
    local value = redis.pcall('GET', KEYS[2])
    local text = type(value) == 'string' and value or ''
    local owner, reserved = string.match(text, '^(%x+)%S* %d+#?(%d*)')
    local counter = tonumber(redis.call('GET', KEYS[3])) or 0
    local ours = owner and #owner == 32 and (tonumber(reserved) or counter) >= counter
    -- A valid hold of ours has ended all reservations.
    if not ours and text ~= 'leasehold:shared' then redis.pcall('INCR', KEYS[3]) end
end
redis.call('HSET', KEYS[1], 'o', string.format('%d', observed))
redis.call('PEXPIREAT', KEYS[1], string.format('%d', math.max(observed, tonumber(meta[2]) or 0)))
return string.format('%d', observed)
