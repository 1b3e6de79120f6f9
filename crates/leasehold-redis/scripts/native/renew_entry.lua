-- Purpose: prolongs one hold of any kind, and says why when there is none.
--
-- KEYS: the nine of prelude.lua.
-- ARGV: 1 claim id, 2 ttl ms, 3 PUBLISH or SPUBLISH, 4 `1` if that answers all receivers, 5 channel of changes
-- Reply: {0, valid for ms} renewed · {1, reason} gone (x expired, f forced, g gone)
-- Invariant: nothing is made, nothing is shortened, nothing that has ended is revived. A full server renews, too. A hold by a
--   reserved token is written as any other, so that the next renewal is one of renew.lua.

local id, ttl, verb, exact, changes = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]

local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
    if string.find(held.err, 'WRONGTYPE', 1, true) then return {1, 'g'} end
    return held
end

-- include prelude.lua

need_no_memory()
expire()
if alone and alone[1] == id then
    if delaying() then return {1, 'x'} end
    local left = math.max(ttl, alone_for())
    if alone[4] == 0 and not (reserved and alone[6]) then
        redis.call('PEXPIRE', KEYS[1], string.format('%d', left))
    else
        alone[2] = now + left
        local value = write_alone(alone[3], alone[4], alone[2], alone[5], alone[6])
        redis.call('SET', KEYS[1], value, 'PX', string.format('%d', left + alone[4]))
    end
    return {0, left}
end
local mine = side and load(id)
if not mine or mine[1] == 'w' then
    if freed then settle() end
    return {1, 'g'}
end
if mine[1] ~= 'h' then
    if freed then settle() end
    return {1, mine[1] == 'r' and 'f' or 'x'}
end
mine[6] = math.max(mine[6], now + ttl)
save(id, mine)
redis.call('ZADD', KEYS[4], string.format('%d', mine[6]), id)
local left = redis.call('PTTL', KEYS[1])
redis.call('PEXPIRE', KEYS[1], string.format('%d', math.max(left, mine[6] - now + mine[8] + 1)))
keep()
if freed then settle() end
return {0, mine[6] - now}
