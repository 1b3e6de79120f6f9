-- Purpose: compare and delete, as every Redis lock library has it.
--
-- KEYS: 1 the lock
-- ARGV: 1 the value that its holder set, 2 the channel on which its release is announced (Spring's alone)
-- Reply: 1 deleted · 2 deleted, and the server refuses to announce it · 0 it is another's, or nobody's
-- Invariant: nobody else's hold is touched. A user who may not publish releases all the same.

if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
    local heard = ARGV[2] and redis.pcall('PUBLISH', ARGV[2], KEYS[1])
    return type(heard) == 'table' and 2 or 1
end
return 0
