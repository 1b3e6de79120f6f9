-- Purpose: ends the hold of a claim that holds alone where nobody else is: compare and delete. With the third key it reserves
--   a token for the next claim of this client.
--
-- KEYS: 1 hold, 2 meta, 3 fence of prelude.lua (may be missing).
-- ARGV: 1 how the value of the hold key begins: the claim id and a space
-- Reply: the reserved token · 1 released, and none is reserved · 0 nothing has changed, release.lua is to be asked
-- Invariant: nobody else's hold is touched. Who waits or observes hears of every release, and a lock-delay runs. The reserved
--   token is above all that were granted, and nobody else's. It is good for as long as it is the counter: every grant raises
--   that, and without a valid hold of ours a new observer, a waiter behind another library and a refused id do.

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'string' and string.sub(value, 1, #ARGV[1]) == ARGV[1] and redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('DEL', KEYS[1])
    local token = KEYS[3] and redis.pcall('INCR', KEYS[3])
    if token == 1 then redis.call('DEL', KEYS[3]) end
    return type(token) == 'number' and token or 1
end
return 0
