-- Purpose: prolongs the permits of a claim.
--
-- KEYS: 1 the semaphore.
-- ARGV: 1 to 3 of locks.lua, 4 how the ids of its permits begin, 5 ttl ms, 6 how many it has
-- Reply: {ms for which they are held from now}, {-1} when they are not
-- Invariant: nothing is made, nothing is shortened.

-- include locks.lua
local begin, take, now = ARGV[4], tonumber(ARGV[6]), math.floor(clock() / 1000)

if kind ~= 'string' or own_permits(begin) ~= take then return {-1} end
local ends = tonumber(redis.call('ZSCORE', permits, permit(begin, 0)))
if ends <= now then return {-1} end
ends = math.max(ends, now + tonumber(ARGV[5]))
for number = 0, take - 1 do
    redis.call('ZADD', permits, string.format('%d', ends), permit(begin, number))
end
return {ends - now}
