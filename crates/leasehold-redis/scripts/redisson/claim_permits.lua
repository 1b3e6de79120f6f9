-- Purpose: takes permits of a semaphore (RPermitExpirableSemaphore), or says who has them and for how long, in one call.
--
-- KEYS: 1 the semaphore, 2 its fencing counter, 3 there while the claim is refused
-- ARGV: 1 to 3 of locks.lua, 4 how the ids of its permits begin, 5 ttl ms, 6 `a` to amend a hold and make none, 7 how many,
--   8 least token of a new grant, 9 of a hold, too, 10 the number of permits that there are
-- Reply: that of claim.lua; {3, ''} the name is a lock
-- Invariant: free and taken permits together stay as many as there are. What has ended by the server's clock is free. A
--   hold never grows. Redisson's own number of permits is never changed.

-- include locks.lua
local begin, ttl, take, of = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[7]), tonumber(ARGV[10])
local now = math.floor(clock() / 1000)

if kind == 'hash' then return {3, ''} end
if kind ~= 'string' and kind ~= 'none' then return {5, kind} end
if kind == 'string' then
    if not count_permits(now) then return {5, kind} end
    free_permits(redis.call('ZREMRANGEBYSCORE', permits, '-inf', string.format('%d', now)))
end
local total, taken = of, 0
if kind == 'string' then total, taken = count_permits(now) end

local function last_until(ends)
    for number = 0, take - 1 do
        redis.call('ZADD', permits, string.format('%d', ends), permit(begin, number))
    end
    local left = redis.call('PTTL', KEYS[1])
    if left >= 0 then redis.call('PEXPIRE', permits, left) end
end

local own = kind == 'string' and own_permits(begin) or 0
if own > 0 then
    if take > own or of ~= total then return state(2) end
    local ends = math.max(now + ttl, tonumber(redis.call('ZSCORE', permits, begin .. '\0\0')))
    for number = take, own - 1 do
        redis.call('ZREM', permits, permit(begin, number))
    end
    free_permits(own - take)
    last_until(ends)
    local known = tonumber(redis.call('GET', KEYS[2]) or '')
    local token = known and math.max(known, tonumber(ARGV[9])) or least(ARGV[9])
    local text = string.format('%d', token)
    if token ~= known then redis.call('SET', KEYS[2], text) end
    return {0, text, ends - now}
end
if ARGV[6] == 'a' or redis.call('EXISTS', KEYS[3]) == 1 then return {4} end

local number = string.format('%d', total)
if total ~= of then
    if taken > 0 or redis.call('GET', made) ~= number then return {3, number} end
    kind = 'none'
end
if kind == 'string' and tonumber(redis.call('GET', KEYS[1])) < take then return state(2) end
local token = draw(ARGV[8])
if not token then return {6} end
if kind == 'none' then
    number = string.format('%d', of)
    redis.call('SET', KEYS[1], number)
    redis.call('SET', made, number)
end
redis.call('DECRBY', KEYS[1], string.format('%d', take))
last_until(now + ttl)
return {0, token, ttl}
