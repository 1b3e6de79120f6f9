-- Purpose: claims a lock: grants it, or says who has it and for how long, in one call.
--
-- KEYS: the nine of prelude.lua; of a member of a quorum also 10, the marker of register.lua.
-- ARGV: 1 claim id, 2 mode (x alone, s shared, p permits), intent (h hold, a amend) and queueing (n none, b barging,
--   f fair), 3 take, 4 of, 5 ttl ms, 6 lock-delay ms, 7 least token or 0, 8 inbox or empty, 9 PUBLISH or SPUBLISH,
--   10 `1` if that answers all receivers, 11 channel of changes, 12 least token of a new grant or 0, 13 a marker without
--   its time, for a member that has lost its own, or empty, 14 note (may be missing)
-- Reply: {0, token, valid for ms} granted, of a member also ms for which it has forgotten nothing · {1, recheck in ms, ahead, holder or false} waiting ·
--   {2, recheck in ms, ahead or -1, holder or false} held · {3, limit} mismatch · {4, reason} gone (x expired, f forced,
--   g gone) · {5, type} the key is of another type · {6} the counter is at its end
-- Invariant: a claim is granted once, however often it is repeated; an amendment never makes a hold. The token is
--   max(counter + 1, least of a new grant, TIME - 5 s), so it grows also after the counter is lost.

local id, take, of, ttl, delay = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local mode, intent, queueing = string.match(ARGV[2], '^(.)(.)(.)$')
local floor, verb, exact, changes = tonumber(ARGV[7]), ARGV[9], ARGV[10], ARGV[11]
local wish, note = tonumber(ARGV[12]), ARGV[14] or false

local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
    if string.find(held.err, 'WRONGTYPE', 1, true) then
        return {5, redis.call('TYPE', KEYS[1]).ok}
    end
    return held
end

-- A member whose marker is gone was emptied, and may have forgotten who holds.
local function grant(text, valid_for, now)
    if not KEYS[10] then return {0, text, valid_for} end
    local marker = redis.call('GET', KEYS[10])
    if not marker then
        marker = string.format('%d ', now) .. ARGV[13]
        redis.call('SET', KEYS[10], marker)
    end
    return {0, text, valid_for, now - tonumber(string.match(marker, '^%d+'))}
end

-- Nobody is there, nobody waits, nobody observes, and the counter was not lost: the same as below, without what that
-- takes.
if not held and mode == 'x' and intent == 'h' and redis.call('EXISTS', KEYS[2]) == 0 then
    local clock = redis.call('TIME')
    local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
    local counter = tonumber(redis.call('GET', KEYS[9]))
    local token = counter and math.max(counter + 1, wish, clock[1] * 1000000 + clock[2] - 5000000)
    if token and token / 1000 <= now then
        local text = string.format('%d', token)
        local bound = delay > 0 and string.format('/%d/%d/', delay, now + ttl) .. text or ''
        local value = id .. bound .. string.format(' %d', now) .. (note and ' =' .. note or '')
        redis.call('SET', KEYS[1], value, 'PX', string.format('%d', ttl + delay))
        redis.call('SET', KEYS[9], text, 'PX', 604800000)
        return grant(text, ttl, now)
    end
end

-- include prelude.lua

local function granted(token, valid_for)
    return grant(string.format('%d', token), valid_for, now)
end

local function hold_alone(since, token)
    local value = write_alone(since, delay, now + ttl, note, token)
    redis.call('SET', KEYS[1], value, 'PX', string.format('%d', ttl + delay))
    held = value
end

local function hold_together(entry)
    local left = redis.call('PTTL', KEYS[1])
    redis.call('SET', KEYS[1], SHARED, 'PX', string.format('%d', math.max(left, entry[6] - now + entry[8] + 1)))
    redis.call('HSET', KEYS[2], 'l', entry[2] == 'p' and entry[4] or '')
    redis.call('ZADD', KEYS[4], string.format('%d', entry[6]), id)
    save(id, entry)
    held = SHARED
end

-- Nobody is there and nobody waits.
if not held and not side and mode == 'x' and intent == 'h' then
    local token = draw(wish)
    if not token then return {6} end
    hold_alone(now, token)
    settle()
    return granted(token, ttl)
end

local owned = alone and alone[1] == id
if owned or (side and load(id)) then need_no_memory() end
expire()
-- A hold that this claim set by a reserved token, which is not the counter: it was not granted, and comes in its turn.
if owned and reserved and not alone[6] and intent == 'h' then
    redis.call('DEL', KEYS[1])
    held, alone, owned, freed, wish = false, false, false, true, math.max(wish, reserved + 1)
end
local PLACELESS_MS = 500
local mine = side and load(id) or false

local function busy(status)
    local holders = held == SHARED and redis.call('ZCARD', KEYS[4]) or 0
    local soonest, who = ttl / 3, false
    if alone then
        local left = alone_for()
        if left >= 0 then soonest = math.min(soonest, left + 1) end
        who = describe_alone()
    elseif holders > 0 then
        for _, other in ipairs(redis.call('ZRANGE', KEYS[4], 0, 1)) do
            if other ~= id and not who then
                local entry = load(other)
                if entry then
                    soonest = math.min(soonest, entry[6] - now)
                    who = describe(other, entry)
                end
            end
        end
    end
    local ahead = -1
    if side then
        local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
        if first[1] and first[1] ~= id then soonest = math.min(soonest, first[2] - now) end
    end
    if queueing ~= 'n' then
        local rank = side and (redis.call('ZRANK', KEYS[6], id) or redis.call('ZCARD', KEYS[6])) or 0
        ahead = rank + (alone and 1 or holders) - (mine and mine[1] == 'h' and 1 or 0)
    end
    return {status, math.max(1, math.ceil(soonest)), ahead, who}
end

-- What is held already is answered again, or changed in place.
local function amend()
    local before = mine and mine[2] or 'x'
    local allowed = before == mode
    if before == 'x' then
        allowed = mode ~= 'p'
    elseif before == 's' and mode == 'x' then
        allowed = redis.call('ZCARD', KEYS[4]) == 1
    elseif before == 'p' then
        allowed = mode == 'p' and take <= mine[3] and of == mine[4]
    end
    if not allowed then return busy(2) end
    local token, since, ends
    if mine then
        token, since, ends = mine[9], mine[7], mine[6]
    else
        token, since, ends = alone[6], alone[3] or now, now + alone_for()
        if not token then token = draw(math.max(floor, (reserved or 0) + 1)) end
        if not token then return {6} end
    end
    token = math.max(token, floor)
    if token > counter then raise(token) end
    ends = math.max(ends, now + ttl)
    ttl = ends - now
    if before == 'p' and take < mine[3] then
        use(take - mine[3])
        freed = true
    end
    if mine and mode == 'x' then
        redis.call('ZREM', KEYS[4], id)
        redis.call('HDEL', KEYS[3], id)
    elseif not mine and mode == 's' then
        freed = true
    end
    if mode == 'x' then
        hold_alone(since, token)
    else
        hold_together({'h', mode, take, of, queueing, ends, since, delay, token, 0, '', note})
    end
    settle()
    return granted(token, ttl)
end

if owned then
    if delaying() then return {4, 'x'} end
    -- It waited, too, when its hold arrived.
    if mine then drop_waiter(id) end
    mine = false
    return amend()
end
if mine and mine[1] ~= 'w' then
    if mine[1] == 'h' then return amend() end
    return {4, mine[1] == 'r' and 'f' or 'x'}
end
if intent == 'a' then
    settle()
    return {4, 'g'}
end

local limit = mode == 'p' and string.format('%d', of) or ''
if alone and mode == 'p' then return {3, ''} end
if side then
    local others = redis.call('ZCARD', KEYS[4]) + redis.call('ZCARD', KEYS[6]) - (mine and 1 or 0)
    if others > 0 and (meta[4] or '') ~= limit then return {3, meta[4] or ''} end
end

local seq = mine and mine[10] or (tonumber(meta[3]) or 0) + 1

local function comes_before(set)
    local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
    return first[2] and tonumber(first[2]) < seq
end

local function kept_out()
    if mode == 'x' then
        return held or (side and comes_before(KEYS[7]))
    elseif mode == 's' then
        return alone or (side and comes_before(KEYS[8]))
    end
    local wanted = used + take
    if wanted > of then return true end
    if not side then return false end
    for _, who in ipairs(redis.call('ZRANGEBYSCORE', KEYS[7], '-inf', '(' .. string.format('%d', seq), 'LIMIT', 0, of)) do
        local entry = load(who)
        wanted = wanted + (entry and entry[3] or 0)
        if wanted > of then return true end
    end
    return false
end

if not kept_out() then
    local token = draw(wish)
    if not token then return {6} end
    if mine then stop_waiting(id) end
    if mode == 'x' then
        if mine then redis.call('HDEL', KEYS[3], id) end
        hold_alone(now, token)
    else
        hold_together({'h', mode, take, of, queueing, now + ttl, now, delay, token, seq, '', note})
        if mode == 'p' then use(take) end
    end
    settle()
    return granted(token, ttl)
end

if queueing == 'n' then
    if mine then drop_waiter(id) end
    local answer = busy(2)
    if freed then settle() end
    return answer
end

local expires = now + ttl
if mine then
    expires = math.max(expires, mine[6])
else
    -- Without a place, on a full server, it asks again when what is ahead may have ended.
    local placed = redis.pcall('ZADD', KEYS[6], string.format('%d', seq), id)
    if type(placed) == 'table' then
        if not string.find(placed.err, 'OOM', 1, true) then return placed end
        local answer = busy(2)
        answer[2] = math.min(answer[2], PLACELESS_MS)
        return answer
    end
    redis.call('HSET', KEYS[2], 'q', string.format('%d', seq), 'l', limit)
    -- Another library's hold has ended no reservation.
    if foreign and counter > 0 then overtake() end
end
if not mine or mine[5] ~= queueing then
    if queueing == 'f' then
        redis.call('ZADD', KEYS[7], string.format('%d', seq), id)
    elseif mine then
        redis.call('ZREM', KEYS[7], id)
    end
end
if not mine or mine[2] ~= mode then
    if mode == 'x' then
        redis.call('ZADD', KEYS[8], string.format('%d', seq), id)
    elseif mine then
        redis.call('ZREM', KEYS[8], id)
    end
end
redis.call('ZADD', KEYS[5], string.format('%d', expires), id)
save(id, {'w', mode, take, of, queueing, expires, mine and mine[7] or now, delay, false, seq, ARGV[8], note})
local answer = busy(1)
if freed or not mine then settle() else keep() end
return answer
