-- Purpose: compare and delete, as every Redis lock library has it.
--
-- KEYS: 1 the lock
-- ARGV: 1 the value that its holder set
-- Reply: 1 deleted · 0 it is another's, or nobody's
-- Invariant: nobody else's hold is touched.

if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
