-- Purpose: what several scripts of Redisson's dialect share. It is put in place of `-- include locks.lua`.
--
-- KEYS: 1 the lock, 2 its fencing counter (those that draw or read a token)
-- ARGV: 1 STEM, of which the names of side keys and channels are made, 2 PUBLISH or SPUBLISH, 3 another of them or the same
-- Reply: none of its own.
-- Invariant: a lock is a hash: `mode` -> `read` for readers, each with a key of its own time to live beside it (its value is
--   the token), else of one owner. A semaphore is a string, the free permits, beside a sorted set of the taken ones by
--   their end. One that Redisson did not make has its number in MADE, too.

local kind, stem = redis.call('TYPE', KEYS[1]).ok, ARGV[1]
local permits, made = stem .. ':timeout', 'leasehold:permits:' .. stem
local PERMANENT = 922337203685477

local function clock()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

-- The least token of a grant: behind the clock by 5 s; in steps, unless there was no counter, which may be lost twice in a step.
local function least(given, is_first)
    local behind = clock() - 5000000
    if not is_first then behind = behind - behind % 100000 end
    return math.max(tonumber(given), behind)
end

local function draw(wish)
    local token = redis.call('INCR', KEYS[2])
    local floor = least(wish, token == 1)
    if token < floor then
        token = floor
        redis.call('SET', KEYS[2], string.format('%d', token))
    end
    return token < 9007199254740992 and string.format('%d', token)
end

local function expiry_of(reader, count)
    return stem .. ':' .. reader .. ':rwlock_timeout:' .. count
end

-- For how many ms a reader holds, -1 without end, -2 if its last hold is over.
local function left_of(reader, count)
    local longest = -2
    for number = 1, math.min(tonumber(count) or 0, 1000) do
        longest = math.max(longest, redis.call('PTTL', expiry_of(reader, number)))
    end
    return longest
end

-- The same of all readers but one.
local function left_of_others(reader)
    local longest, fields = -2, redis.call('HGETALL', KEYS[1])
    for at = 1, #fields, 2 do
        if fields[at] ~= 'mode' and fields[at] ~= reader then
            longest = math.max(longest, left_of(fields[at], fields[at + 1]))
        end
    end
    return longest
end

-- How many permits there are, and how many of them are taken at `now`; false if the string is no semaphore.
local function count_permits(now)
    local free = tonumber(redis.call('GET', KEYS[1]))
    if not free or free % 1 ~= 0 then return false end
    local all = redis.call('ZCARD', permits)
    if free + all < 0 or free + all > 4294967295 then return false end
    return free + all, all - redis.call('ZCOUNT', permits, '-inf', string.format('%d', now))
end

-- {status, ms left or -1 without end, holders, counter, number of permits or false}; a holder is {field or permit, count,
-- ms left}. Without `all`, about 100 of the fields are read, and without `many` as many of the permits.
local function state(status, many, all)
    local holders, left, total = {}, -1, false
    if kind == 'hash' then
        left = redis.call('PTTL', KEYS[1])
        local fields, reads = {}, redis.call('HGET', KEYS[1], 'mode') == 'read'
        if all then
            fields = redis.call('HGETALL', KEYS[1])
        else
            fields = redis.call('HSCAN', KEYS[1], '0', 'COUNT', '100')[2]
        end
        for at = 1, #fields, 2 do
            local field, count, ends = fields[at], fields[at + 1], left
            if reads and field ~= 'mode' then ends = left_of(field, count) end
            if ends > -2 then table.insert(holders, {field, count, ends}) end
        end
    elseif kind == 'string' then
        local now = math.floor(clock() / 1000)
        total = count_permits(now)
        if not total then return {5, kind} end
        local most = many and -1 or 100
        local taken = redis.call('ZRANGEBYSCORE', permits, '(' .. string.format('%d', now), '+inf', 'WITHSCORES', 'LIMIT', 0, most)
        for at = 1, #taken, 2 do
            local ends = tonumber(taken[at + 1])
            ends = ends < PERMANENT and ends - now or -1
            if at == 1 then left = ends end
            table.insert(holders, {taken[at], '1', ends})
        end
    elseif kind ~= 'none' then
        return {5, kind}
    end
    return {status, left, holders, redis.pcall('GET', KEYS[2]), total}
end

local silenced = false

-- Of a server without the second verb, or a user who may not publish, nobody hears; what happened happened.
local function publish(channel, message)
    for at = 2, ARGV[2] == ARGV[3] and 2 or 3 do
        local heard = redis.pcall(ARGV[at], channel .. ':' .. stem, message)
        silenced = silenced or (at == 2 and type(heard) == 'table')
    end
end

-- Wakes who waits to hold alone, and unless others still read also Redisson's readers and writers: `1` all that wait, `0`
-- one, also one that is about to wait, which `1` misses.
local function announce_lock(others)
    publish('redisson_lock__channel', '0')
    if not others then
        publish('redisson_rwlock', '1')
        publish('redisson_rwlock', '0')
    end
end

-- Frees so many permits, and wakes as many of Redisson's waiters as are free now.
local function free_permits(count)
    if count < 1 then return end
    local free = redis.call('INCRBY', KEYS[1], string.format('%d', count))
    publish('redisson_sc', string.format('%d', free))
    publish('redisson_lock__channel', '0')
end

-- The permits of a claim follow from its id: 14 bytes and a number.
local function permit(begin, number)
    return begin .. string.char(math.floor(number / 256), number % 256)
end

-- How many permits of a claim there are.
local function own_permits(begin)
    local count = 0
    while redis.call('ZSCORE', permits, permit(begin, count)) do
        count = count + 1
    end
    return count
end
