-- Purpose: claims a lock alone at a member of a quorum where nobody else is: the same as claim.lua, at half of its price.
--
-- KEYS: 1 hold, 2 fence, 3 meta of prelude.lua, 4 the marker of register.lua.
-- ARGV: 1 the value of the hold key, 2 ttl ms, 3 least token
-- Reply: the marker: granted with the least token · {token, marker} granted · nil: nothing has changed, claim.lua is to be asked
-- Invariant: the token is above the counter; one that is not there begins at the server's clock, less what claim.lua takes
--   off. While the counter is ahead of the least token its life stays as it is, which is longer for as long.

local known, least = redis.call('MGET', KEYS[2], KEYS[4]), tonumber(ARGV[3])
local counter, marker = tonumber(known[1]), known[2]
if not marker or redis.call('EXISTS', KEYS[3]) == 1 then return false end
if not counter then
    if redis.call('EXISTS', KEYS[2]) == 1 then return false end
    local clock = redis.call('TIME')
    least = math.max(least, clock[1] * 1000000 + clock[2] - 5000000)
end
local token = math.max((counter or 0) + 1, least)
if token >= 9007199254740992 or not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
if not counter then
    redis.call('SET', KEYS[2], string.format('%d', token), 'PX', 604800000)
elseif token > least then
    redis.call('SET', KEYS[2], string.format('%d', token), 'KEEPTTL')
else
    redis.call('SET', KEYS[2], ARGV[3], 'PX', '604800000')
    return marker
end
return {token, marker}
