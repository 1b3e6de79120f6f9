-- Purpose: claims a lock of Redisson, alone or to read, or says who has it and for how long, in one call.
--
-- KEYS: 1 the lock, 2 its fencing counter, 3 there while the claim is refused
-- ARGV: 1 to 3 of locks.lua, 4 owner, 5 ttl ms, 6 `a` to amend a hold and make none, 7 `x` alone or `s` to read, 8 least
--   token of a new grant, 9 of a hold, too
-- Reply: {0, token, ms} granted · {2, …} another holds, as the state of locks.lua · {3, number of permits} a semaphore ·
--   {4} no hold to amend, or refused · {5, type} the key is no lock · {6} the counter is at its end
-- Invariant: an owner is one claim, so its count is 1 however often it asks. The `mode` of one that holds alone is none of
--   Redisson's: its RReadWriteLock, which takes any hash without it, is kept out. The counter never falls.

-- include locks.lua
local owner, ttl, mode, floor = ARGV[4], tonumber(ARGV[5]), ARGV[7], tonumber(ARGV[9])

if kind == 'string' then
    local total, taken = count_permits(math.floor(clock() / 1000))
    if not total then return {5, kind} end
    -- A semaphore of ours that nobody uses is a free name; Redisson's is there for good.
    local number = string.format('%d', total)
    if taken > 0 or redis.call('GET', made) ~= number then return {3, number} end
    if ARGV[6] == 'a' then return {4} end
    redis.call('DEL', KEYS[1], permits, made)
    kind = 'none'
elseif kind ~= 'hash' and kind ~= 'none' then
    return {5, kind}
end

local expiry = expiry_of(owner, 1)
local mine = kind == 'hash' and redis.call('HMGET', KEYS[1], owner, 'mode') or {false, false}
local reads = mine[2] == 'read'
if mine[1] and reads and redis.call('EXISTS', expiry) == 0 then
    -- It has ended, and stood there for the sake of other readers.
    redis.call('HDEL', KEYS[1], owner)
    mine[1] = false
end

local function hold_alone(left)
    redis.call('HSET', KEYS[1], owner, '1', 'mode', 'leasehold')
    redis.call('PEXPIRE', KEYS[1], left)
end

local function hold_together(token, left)
    redis.call('HSET', KEYS[1], owner, '1', 'mode', 'read')
    redis.call('SET', expiry, token, 'PX', left)
    local longest = redis.call('PTTL', KEYS[1])
    if kind == 'none' or (longest >= 0 and longest < left) then
        redis.call('PEXPIRE', KEYS[1], left)
    end
end

if mine[1] then
    if mode == 'x' and reads and left_of_others(owner) > -2 then return state(2) end
    local known = tonumber(redis.call('GET', reads and expiry or KEYS[2]) or '')
    local token = known and math.max(known, floor) or least(floor)
    local text = string.format('%d', token)
    if token > tonumber(redis.call('GET', KEYS[2]) or '0') then
        redis.call('SET', KEYS[2], text)
    end
    local left = math.max(ttl, redis.call('PTTL', reads and expiry or KEYS[1]))
    if mode == 's' then
        hold_together(text, left)
        if not reads then announce_lock() end
    else
        if reads then redis.call('DEL', KEYS[1], expiry) end
        hold_alone(left)
    end
    return {0, text, left}
end
if ARGV[6] == 'a' or redis.call('EXISTS', KEYS[3]) == 1 then return {4} end
if kind == 'hash' and not (mode == 's' and reads) then return state(2) end

local token = draw(ARGV[8])
if not token then return {6} end
if mode == 's' then
    hold_together(token, ttl)
else
    hold_alone(ttl)
end
return {0, token, ttl}
