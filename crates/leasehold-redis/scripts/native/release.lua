-- Purpose: ends the hold of a claim, or its waiting, and rings for who can run then.
--
-- KEYS: the nine of prelude.lua.
-- ARGV: 1 claim id, 2 PUBLISH or SPUBLISH, 3 `1` if that answers all receivers, 4 channel of changes, 5 ms for which the
--   id is refused from now on, or 0: a request of this claim may still be on its way
-- Reply: 1 released · 0 not held · {5, type} the key is of another type
-- Invariant: nobody else's hold is touched. A lock-delay that runs is not cut short. A full server releases, too.

local id, verb, exact, changes, refuse = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

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
local released = 0
if alone and alone[1] == id then
    if not delaying() then
        redis.call('DEL', KEYS[1])
        held, alone, released, freed = false, false, 1, true
    end
elseif side then
    local mine = load(id)
    if mine and mine[1] == 'w' then
        drop_waiter(id)
        released = 1
    elseif mine and mine[1] == 'h' then
        drop_holder(id, mine)
        released = 1
        if redis.call('ZCARD', KEYS[4]) == 0 then
            redis.call('DEL', KEYS[1])
            held = false
        end
    elseif mine and mine[1] == 'r' then
        drop_waiter(id)
    end
end
if refuse > 0 and not delaying() then
    -- Nor is the claim granted that may still arrive with a reserved token.
    if not held or foreign then overtake() end
    save(id, {'r', 'x', 0, 0, 'n', now + refuse, now, 0, false, 0, '', false})
    redis.call('ZADD', KEYS[5], string.format('%d', now + refuse), id)
end
if freed or refuse > 0 then settle() end
return released
