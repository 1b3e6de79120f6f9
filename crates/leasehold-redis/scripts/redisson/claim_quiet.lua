-- Purpose: takes a lock of Redisson alone where nobody has it: the same as claim.lua, at a part of its price.
--
-- KEYS: 1 the lock, 2 its fencing counter, 3 there while the claim is refused
-- ARGV: 1 owner, 2 ttl ms, 3 least token
-- Reply: the token · nil: nobody has got it, claim.lua is to be asked
-- Invariant: a counter that is not there begins at the server's clock, less what claim.lua takes off, so tokens grow after it
--   was lost. A claim that is not granted leaves the counter as it is.

if redis.call('EXISTS', KEYS[1], KEYS[3]) > 0 then return false end
local token, least = redis.pcall('INCR', KEYS[2]), tonumber(ARGV[3])
if type(token) ~= 'number' or token >= 9007199254740992 then return false end
if token == 1 then
    local clock = redis.call('TIME')
    least = math.max(least, clock[1] * 1000000 + clock[2] - 5000000)
end
if token < least then
    token = least
    redis.call('SET', KEYS[2], string.format('%d', token))
end
redis.call('HSET', KEYS[1], ARGV[1], '1', 'mode', 'leasehold')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token
