-- Purpose: what the scripts of the native dialect share: reading, expiring, waking. Included by them, never sent alone.
--
-- KEYS (all of one slot; each is named by its number, so that proxies can see it):
--   1 hold     string: `ID SINCE NOTE` while ID holds alone, NOTE being ` =` and the note if there is one;
--              `ID SINCE#TOKEN NOTE` if ID set it without a script, with a reserved token: it was granted if that was the
--              counter then, and keeps nobody out if the counter is above it or ID is refused;
--              `ID/LOCK-DELAY/EXPIRES/TOKEN SINCE NOTE` with a lock-delay, or when its token is not the counter;
--              `leasehold:shared` while readers or permits hold. Strangers lock this key too
--   2 meta     hash, there only while 3 to 8 have something or somebody observes: s set while 3 to 8 may have something,
--              o until when somebody observes, q last number drawn for the queue, l limit of the permits, u permits in
--              use, t until when 3 to 8 are kept
--   3 entries  hash: claim id -> {state, mode, take, of, queueing, expires, since, delay, fence, seq, inbox, note}
--              (msgpack); state w waits, h holds, d delays, r revoked; times in ms of TIME
--   4 holders  sorted set: ids that hold together, by the time at which they end
--   5 waiters  sorted set: ids that wait or are revoked, by the time at which they are forgotten
--   6 queue    sorted set: ids that wait, in order of arrival
--   7 fair     sorted set: those of them that nobody may overtake
--   8 writers  sorted set: those of them that want to hold alone
--   9 fence    string: the fencing counter, which is the token of who holds alone if key 1 has none
-- Uses: held, id, verb, exact, changes (locals of the including script): what key 1 has, the claim, PUBLISH or SPUBLISH,
--   `1` if that answers all receivers, and the channel of changes.
-- Invariant: key 1 exists as long as anybody holds, or keeps the lock shut. Nothing is kept without a time to live.
--   claim_quiet.lua and release_quiet.lua read no more than whether key 2 exists. While somebody holds alone by a reserved
--   token, the counter is moved by its own amendment alone, which writes the token elsewhere. What lets others in raises it.

local SHARED = 'leasehold:shared'
local KEEP_MS = 604800000
local GRACE_MS = 1000
local SLACK_US = 5000000

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = clock[1] * 1000000 + clock[2]
local meta = redis.call('HMGET', KEYS[2], 's', 'o', 'q', 'l', 'u', 't')
local counter = tonumber(redis.call('GET', KEYS[9])) or 0
local side = meta[1]
local observed = meta[2] and tonumber(meta[2]) > now and meta[2]
local used = tonumber(meta[5]) or 0
local horizon = tonumber(meta[6]) or 0
local freed = false

-- Who holds alone: {id, expires or 0, since, delay, note, token}; a stranger is known by its value alone.
local alone = false
local foreign = false
local overtaken = false
local reserved = false
if held and held ~= SHARED then
    local owner, bound, since, note = string.match(held, '^(%x+)(%S*) (%d+)(.*)$')
    local delay, expires, token = string.match(bound or '', '^/(%d+)/(%d+)/(%d+)$')
    if owner and #owner == 32 and (bound == '' or delay) then
        reserved = tonumber(string.match(note, '^#(%d+)'))
        note = string.match(note, '^#?%d* =(.*)$') or false
        token = tonumber(token) or counter > 0 and (reserved or counter) == counter and counter
        alone = {owner, tonumber(expires) or 0, tonumber(since), tonumber(delay) or 0, note, token}
        local refused = reserved and side and redis.call('HGET', KEYS[3], owner)
        overtaken = reserved and counter > reserved or refused and cmsgpack.unpack(refused)[1] == 'r'
    else
        alone = {held, 0, false, 0, false, false}
        foreign = true
    end
    if overtaken then held, alone = false, false end
end

-- A full server (maxmemory, noeviction) refuses the first write of a script if that may need memory, and then none of
-- the others: what ends or prolongs a hold begins with one that needs none, and changes nothing.
local function need_no_memory()
    redis.call('HDEL', KEYS[2], '')
end

local function write_alone(since, delay, expires, note, token)
    local bound = ''
    if delay > 0 or token ~= counter then bound = string.format('/%d/%d/%d', delay, expires, token) end
    return id .. bound .. string.format(' %d', since) .. (note and ' =' .. note or '')
end

local function load(who)
    local packed = redis.call('HGET', KEYS[3], who)
    return packed and cmsgpack.unpack(packed)
end

local function save(who, entry)
    redis.call('HSET', KEYS[3], who, cmsgpack.pack(entry))
    horizon = math.max(horizon, entry[6] + entry[8] + GRACE_MS)
    side = '1'
    redis.call('HSET', KEYS[2], 's', '1', 't', string.format('%d', horizon))
end

local function keep()
    if side then
        for at = 3, 8 do
            redis.call('PEXPIREAT', KEYS[at], string.format('%d', horizon))
        end
    end
    if side or observed then
        redis.call('PEXPIREAT', KEYS[2], string.format('%d', math.max(side and horizon or 0, observed or 0)))
    end
end

local function stop_waiting(who)
    redis.call('ZREM', KEYS[5], who)
    redis.call('ZREM', KEYS[6], who)
    redis.call('ZREM', KEYS[7], who)
    redis.call('ZREM', KEYS[8], who)
end

local function use(count)
    used = math.max(0, used + count)
    redis.call('HSET', KEYS[2], 'u', string.format('%d', used))
end

local function drop_waiter(who)
    stop_waiting(who)
    redis.call('HDEL', KEYS[3], who)
    freed = true
end

local function drop_holder(who, entry)
    redis.call('ZREM', KEYS[4], who)
    redis.call('HDEL', KEYS[3], who)
    if not entry or entry[2] == 'p' then
        use(entry and -entry[3] or 0)
    end
    freed = true
end

-- Takes out what has run out of time; what keys 4 and 1 disagree on was deleted by somebody else, and is gone.
local function expire()
    if overtaken then redis.call('DEL', KEYS[1]) end
    if not side then return end
    repeat
        local dead = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', string.format('%d', now), 'LIMIT', 0, 100)
        for _, who in ipairs(dead) do
            drop_waiter(who)
        end
    until #dead < 100
    local ended
    if held == SHARED then
        ended = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', string.format('%d', now))
    else
        ended = redis.call('ZRANGE', KEYS[4], 0, -1)
    end
    for _, who in ipairs(ended) do
        local entry = load(who)
        if held == SHARED and entry and entry[1] == 'h' and entry[6] + entry[8] > now then
            entry[1], entry[7], entry[6] = 'd', entry[6], entry[6] + entry[8]
            entry[8] = 0
            save(who, entry)
            redis.call('ZADD', KEYS[4], string.format('%d', entry[6]), who)
        else
            drop_holder(who, entry)
        end
    end
    if held == SHARED and redis.call('ZCARD', KEYS[4]) == 0 then
        redis.call('DEL', KEYS[1])
        held = false
    end
    if not held and used > 0 then
        use(-used)
    end
end

-- Whether who holds alone has run out of time, and only its lock-delay keeps the lock shut.
local function delaying()
    return alone and alone[4] > 0 and alone[2] <= now
end

-- How long who holds alone still holds; -1 for ever.
local function alone_for()
    if alone[4] > 0 then
        return delaying() and redis.call('PTTL', KEYS[1]) or math.max(0, alone[2] - now)
    end
    return redis.call('PTTL', KEYS[1])
end

-- Kept longer while it is ahead of the clock.
local function raise(token)
    counter = token
    local life = math.max(now, math.floor(token / 1000)) - now + KEEP_MS
    redis.call('SET', KEYS[9], string.format('%d', token), 'PX', string.format('%d', life))
end

local function draw(floor)
    local token = math.max(counter + 1, floor, now_us - SLACK_US)
    if token >= 9007199254740992 then return false end
    raise(token)
    return token
end

-- Ends every reservation, by one, so that it does not look like a grant; a lost counter begins anew.
local function overtake()
    if counter == 0 then draw(0) elseif counter < 9007199254740991 then raise(counter + 1) end
end

-- {tag or a stranger's value, stance, mode, take, of, expires_in, age, token, stranger, note}
local function describe_alone()
    return {
        foreign and held or string.sub(held, 1, 8), delaying() and 'd' or 'h', foreign and '?' or 'x', 0, 0, alone_for(),
        alone[3] and now - alone[3] or -1, alone[6] and string.format('%d', alone[6]) or '', foreign and 1 or 0, alone[5]
    }
end

local function describe(who, entry)
    return {
        string.sub(who, 1, 8), entry[1], entry[2], entry[3], entry[4], entry[6] - now, now - entry[7],
        entry[9] and string.format('%d', entry[9]) or '', 0, entry[12]
    }
end

-- Rings for a waiter; false when nobody hears it: then its place is kept for a moment only, so that the dead do not
-- stop the queue, and a client that has just lost its connection finds its place again.
local function ring(who, entry)
    if entry[11] == '' then return true end
    local heard = redis.call(verb, entry[11], string.sub(who, 1, 8))
    if heard > 0 or exact ~= '1' then return true end
    if entry[6] > now + GRACE_MS then
        entry[6] = now + GRACE_MS
        save(who, entry)
        redis.call('ZADD', KEYS[5], string.format('%d', entry[6]), who)
    end
    return false
end

-- Rings for those who wait and can run now, the first first; and says on the channel of changes that something changed.
-- What it costs depends on how many can run, not on how many wait.
local function wake()
    if observed then redis.call(verb, changes, '') end
    if not freed or not side then return end
    local holders = redis.call('ZCARD', KEYS[4])
    if held and held ~= SHARED then return end
    local running, deaf, at = used, 0, 0
    while at < 256 and deaf < 16 do
        local page = redis.call('ZRANGE', KEYS[6], at, at + 7)
        for _, who in ipairs(page) do
            local entry = load(who)
            if not entry then
                stop_waiting(who)
            elseif entry[2] == 'x' then
                if holders > 0 then return end
                if ring(who, entry) then return end
                deaf = deaf + 1
            elseif entry[2] == 's' then
                if ring(who, entry) then holders = holders + 1 else deaf = deaf + 1 end
            elseif running + entry[3] <= entry[4] then
                if ring(who, entry) then running = running + entry[3] else deaf = deaf + 1 end
                if running >= entry[4] then return end
            elseif entry[5] == 'f' then
                return
            end
        end
        if #page < 8 then return end
        at = at + 8
    end
end

-- The last step of every verb that may have changed something.
local function settle()
    if side and redis.call('HLEN', KEYS[3]) == 0 then side = false end
    if not side and not observed then
        redis.call('DEL', KEYS[2])
    elseif not side then
        redis.call('HDEL', KEYS[2], 's', 'q', 'l', 'u', 't')
    elseif meta[2] and not observed then
        redis.call('HDEL', KEYS[2], 'o')
    end
    keep()
    wake()
end
