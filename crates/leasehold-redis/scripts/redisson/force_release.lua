-- Purpose: ends every hold of a lock or a semaphore of Redisson, and raises its fencing counter.
--
-- KEYS: 1 the lock, 2 its fencing counter
-- ARGV: 1 to 3 of locks.lua
-- Reply: {0, …} as they were, as the state of locks.lua · {5, type} the key is no lock
-- Invariant: who held finds nothing of its own. A hash that is no lock stays, whatever its size.

-- include locks.lua
local function is_owner(field)
    return #field > 37 and (string.match(field, '^[%x-]+:%-?%d+$') or string.match(field, '^[%x-]+:%-?%d+:write$'))
end

if kind == 'hash' then
    local cursor = '0'
    repeat
        local page = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', '100')
        cursor = page[1]
        for at = 1, #page[2], 2 do
            if page[2][at] ~= 'mode' and not is_owner(page[2][at]) then return {5, kind} end
        end
    until cursor == '0'
end
local before = state(0, true, true)
if before[1] ~= 0 or #before[3] == 0 then return before end
if kind == 'string' then
    free_permits(redis.call('ZREMRANGEBYRANK', permits, 0, -1))
else
    for _, holder in ipairs(before[3]) do
        for count = 1, math.min(tonumber(holder[2]) or 0, 1000) do
            redis.call('DEL', expiry_of(holder[1], count))
        end
    end
    redis.call('DEL', KEYS[1])
    announce_lock()
end
-- As far as in the native dialect.
if before[4] then redis.call('INCRBY', KEYS[2], 3) end
return before
