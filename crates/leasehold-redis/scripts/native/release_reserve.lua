-- Purpose: the same as release_quiet.lua, and reserves a token for the next claim of this client.
--
-- KEYS: 1 hold, 2 meta, 3 fence of prelude.lua.
-- ARGV: 1 how the value of the hold key begins: the claim id and a space
-- Reply: the reserved token · 1 released, and none is reserved · 0 nothing has changed, release.lua is to be asked
-- Invariant: the reserved token is above all that were granted, and nobody else's. It is good for as long as it is the counter:
--   every grant raises that, and without a valid hold of ours a new observer, a waiter behind another library and a refused
--   id do.

local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' or string.sub(value, 1, #ARGV[1]) ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 1 then
    return 0
end
redis.call('DEL', KEYS[1])
local token = redis.pcall('INCR', KEYS[3])
if token == 1 then redis.call('DEL', KEYS[3]) end
return type(token) == 'number' and token or 1
