-- Purpose: prolongs any number of holds in Redisson's format, exclusive ones and readers, in one call.
--
-- KEYS: the locks.
-- ARGV: for each key its owner, a ttl in ms, and the key of the time to live that its owner has as a reader.
-- Reply: for each key, for how many ms it is held from now; -1 when it is another's, or nobody's
-- Invariant: nothing is made, nothing is shortened. The hash lives as long as the last of its readers.

local answers = {}

local function prolong(key, ttl)
    local left = redis.call('PTTL', key)
    if left >= 0 and left < ttl then
        redis.call('PEXPIRE', key, ttl)
        left = ttl
    end
    return left
end

for at = 1, #KEYS do
    local owner, ttl, expiry = ARGV[3 * at - 2], tonumber(ARGV[3 * at - 1]), ARGV[3 * at]
    local mine = redis.pcall('HMGET', KEYS[at], owner, 'mode')
    answers[at] = -1
    if mine[1] and mine[2] == 'read' then
        answers[at] = math.max(-1, prolong(expiry, ttl))
        if answers[at] >= 0 then prolong(KEYS[at], ttl) end
    elseif mine[1] then
        answers[at] = prolong(KEYS[at], ttl)
    end
end
return answers
