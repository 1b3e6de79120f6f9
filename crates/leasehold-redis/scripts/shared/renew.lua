-- Purpose: compare and expire: prolongs any number of locks that are a string, in one call. The plain dialect's, and the
--   native one's for exclusive holds without a lock-delay.
--
-- KEYS: the locks (hold keys of prelude.lua).
-- ARGV: for each key how the value that its holder set begins, and a ttl in ms.
-- Reply: for each key, for how many ms it is held from now; -1 when it is another's, or nobody's (native: ask
--   renew_entry.lua why), or set by a reserved token, which renew_entry.lua compares with the counter
-- Invariant: nothing is made, nothing is shortened. One key a claim, so that a slot on its way to another node is no
--   obstacle.

local answers = {}
for at = 1, #KEYS do
    local ttl = tonumber(ARGV[2 * at])
    answers[at] = -1
    local value, mine = redis.pcall('GET', KEYS[at]), ARGV[2 * at - 1]
    local is_mine = type(value) == 'string' and string.sub(value, 1, #mine) == mine
    if is_mine and not string.find(value, '^%x+ %d+#') then
        local left = redis.call('PTTL', KEYS[at])
        if left >= 0 and left < ttl then
            redis.call('PEXPIRE', KEYS[at], ttl)
            left = ttl
        end
        answers[at] = left
    end
end
return answers
