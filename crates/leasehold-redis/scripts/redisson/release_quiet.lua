-- Purpose: ends the hold of a claim that holds a lock of Redisson alone, and wakes those who wait: the same as release.lua, at a
--   part of its price.
--
-- KEYS: 1 the lock
-- ARGV: 1 owner, 2 STEM of locks.lua, 3 PUBLISH or SPUBLISH, 4 another of them or the same
-- Reply: 1 released · 2 released, and the server refuses to publish it · 0 nothing has changed, release.lua is to be asked
-- Invariant: nobody else's hold is touched. Who waits hears of every release, as release.lua announces it.

local mine = redis.pcall('HMGET', KEYS[1], ARGV[1], 'mode')
if not mine[1] or mine[2] ~= 'leasehold' then return 0 end
redis.call('DEL', KEYS[1])
local answer, rest = 1, ':' .. ARGV[2]
for at = 3, ARGV[3] == ARGV[4] and 3 or 4 do
    local heard = redis.pcall(ARGV[at], 'redisson_lock__channel' .. rest, '0')
    if at == 3 and type(heard) == 'table' then answer = 2 end
    redis.pcall(ARGV[at], 'redisson_rwlock' .. rest, '1')
    redis.pcall(ARGV[at], 'redisson_rwlock' .. rest, '0')
end
return answer
