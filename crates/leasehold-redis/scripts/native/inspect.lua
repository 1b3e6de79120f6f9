-- Purpose: reads who holds a lock and who waits for it, and changes nothing.
--
-- KEYS: the nine of prelude.lua.
-- ARGV: none.
-- Reply: {type, token counter, holders, waiters, fields}: each contender as prelude.lua describes it with its place in
--   the queue before it; for a hash of another library its fields and ms to live
-- Invariant: looking changes nothing, not even what has run out of time.

local verb, exact, changes = 'PUBLISH', '0', ''
local held = redis.pcall('GET', KEYS[1])
local kind = 'string'
local fields = {}
if type(held) == 'table' then
    kind = redis.call('TYPE', KEYS[1]).ok
    if kind == 'hash' then
        fields = {redis.call('PTTL', KEYS[1]), redis.call('HSCAN', KEYS[1], 0, 'COUNT', 64)[2]}
    end
    held = false
end

-- include prelude.lua

local holders, waiters = {}, {}
if alone then
    table.insert(holders, {0, describe_alone()})
end
if side then
    local all = redis.call('HGETALL', KEYS[3])
    for at = 1, #all, 2 do
        local who, entry = all[at], cmsgpack.unpack(all[at + 1])
        if entry[1] == 'h' and entry[6] <= now and entry[8] > 0 then
            entry[1], entry[7], entry[6] = 'd', entry[6], entry[6] + entry[8]
        end
        if entry[6] > now and entry[1] == 'w' then
            table.insert(waiters, {entry[10], describe(who, entry)})
        elseif entry[6] > now and entry[1] ~= 'r' and held == SHARED then
            table.insert(holders, {entry[10], describe(who, entry)})
        end
    end
end
return {kind, counter > 0 and string.format('%d', counter) or '', holders, waiters, fields}
