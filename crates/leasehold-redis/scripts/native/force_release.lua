-- Purpose: ends every hold of a lock by force, a stranger's too, and raises the fencing counter above them.
--
-- KEYS: the nine of prelude.lua.
-- ARGV: 1 PUBLISH or SPUBLISH, 2 `1` if that answers all receivers, 3 channel of changes
-- Reply: the contenders thrown out, as prelude.lua describes them · {5, type} the key is of another type ·
--   {6} the counter is at its end
-- Invariant: those who wait stay. Who is thrown out is told so until it would have expired.

local verb, exact, changes = ARGV[1], ARGV[2], ARGV[3]

local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
    if string.find(held.err, 'WRONGTYPE', 1, true) then
        return {5, redis.call('TYPE', KEYS[1]).ok}
    end
    return held
end

-- include prelude.lua

need_no_memory()
expire()
local function revoke(who, expires)
    save(who, {'r', 'x', 0, 0, 'n', expires, now, 0, false, 0, '', false})
    redis.call('ZADD', KEYS[5], string.format('%d', expires), who)
end

local evicted = {alone and describe_alone() or nil}
-- More than a release and an observer raise it by.
if not draw(counter + 3) then return {6} end
if alone then
    if not foreign and not delaying() then revoke(alone[1], now + math.max(1, alone_for())) end
elseif side then
    for _, who in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
        local entry = load(who)
        table.insert(evicted, describe(who, entry))
        drop_holder(who, entry)
        if entry[1] == 'h' then revoke(who, entry[6]) end
    end
end
redis.call('DEL', KEYS[1])
held, alone, freed = false, false, true
settle()
return evicted
