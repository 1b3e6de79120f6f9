-- Purpose: claims a lock alone where nobody else is: the same as claim.lua, at a third of its price.
--
-- KEYS: 1 hold, 2 fence, 3 meta of prelude.lua.
-- ARGV: 1 the value of the hold key, 2 ttl ms, 3 least token, 4 `1` if it is to say who holds (not for one that waits)
-- Reply: the token · a reply of claim.lua that the lock is held · nil: nobody has got it, claim.lua is to be asked
-- Invariant: a counter that is not there begins at the server's clock, less what claim.lua takes off, so tokens grow after it
--   was lost. A refused claim leaves the counter as it is: it stays the token of who holds.

if redis.call('EXISTS', KEYS[3]) == 1 then return false end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    local token, least = redis.pcall('INCR', KEYS[2]), tonumber(ARGV[3])
    if token == 1 then
        local clock = redis.call('TIME')
        least = math.max(least, clock[1] * 1000000 + clock[2] - 5000000)
    end
    if type(token) == 'number' and token < 9007199254740992 then
        if token >= least then return token end
        redis.call('SET', KEYS[2], string.format('%d', least), 'PX', 604800000)
        return least
    end
    redis.call('DEL', KEYS[1])
    return false
end

-- Somebody holds it.
local value = redis.pcall('GET', KEYS[1])
if ARGV[4] ~= '1' or type(value) ~= 'string' then return false end
local owner, since, reserved, note = string.match(value, '^(%x+) (%d+)#?(%d*)(.*)$')
if not owner or #owner ~= 32 or owner == string.sub(ARGV[1], 1, 32) then return false end
local counter = redis.call('GET', KEYS[2]) or ''
if reserved ~= '' and reserved ~= counter then return false end
local clock, left = redis.call('TIME'), redis.call('PTTL', KEYS[1])
local age = clock[1] * 1000 + math.floor(clock[2] / 1000) - since
local holder = {
    string.sub(owner, 1, 8), 'h', 'x', 0, 0, left, age, counter, 0,
    string.match(note, '^ =(.*)$') or false
}
return {2, math.max(1, math.ceil(math.min(ARGV[2] / 3, left + 1))), -1, holder}
