-- Purpose: ends the hold of a claim that holds alone where nobody else is: compare and delete.
--
-- KEYS: 1 hold, 2 meta of prelude.lua.
-- ARGV: 1 how the value of the hold key begins: the claim id and a space
-- Reply: 1 released · 0 nothing has changed, release.lua is to be asked
-- Invariant: nobody else's hold is touched. Who waits or observes hears of every release, and a lock-delay runs.

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'string' and string.sub(value, 1, #ARGV[1]) == ARGV[1] and redis.call('EXISTS', KEYS[2]) == 0 then
    return redis.call('DEL', KEYS[1])
end
return 0
