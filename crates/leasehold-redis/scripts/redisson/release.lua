-- Purpose: ends the hold of a claim in Redisson's format, of any kind, and wakes those who wait.
--
-- KEYS: 1 the lock, 2 there while the claim is refused
-- ARGV: 1 to 3 of locks.lua, 4 owner, 5 how the ids of its permits begin, 6 ms for which the claim is refused
-- Reply: 1 released · 2 released, and the server refuses to publish it · 0 it is another's, or nobody's
-- Invariant: nobody else's hold is touched, and the hash of readers lives as long as the last of them. A full server refuses
--   a refusal, not a release.

-- include locks.lua
local owner, begin, held = ARGV[4], ARGV[5], false

if kind == 'hash' then
    local mine = redis.call('HMGET', KEYS[1], owner, 'mode')
    local left = -2
    held = mine[1] and true or false
    if held and mine[2] == 'read' then
        held = redis.call('DEL', expiry_of(owner, 1)) == 1
        left = left_of_others(owner)
        redis.call('HDEL', KEYS[1], owner)
        if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
    end
    if mine[1] then
        local is_over = left == -2 or left == 0
        if is_over then redis.call('DEL', KEYS[1]) end
        announce_lock(not is_over)
    end
elseif kind == 'string' then
    local count = own_permits(begin)
    if count > 0 then
        held = tonumber(redis.call('ZSCORE', permits, permit(begin, 0))) > clock() / 1000
        for number = 0, count - 1 do
            redis.call('ZREM', permits, permit(begin, number))
        end
        free_permits(count)
    end
end
if ARGV[6] ~= '0' then
    redis.pcall('SET', KEYS[2], '', 'PX', ARGV[6])
end
if not held then return 0 end
return silenced and 2 or 1
