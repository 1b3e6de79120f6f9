-- Purpose: reads who holds a lock or a semaphore of Redisson, and changes nothing.
--
-- KEYS: 1 the lock, 2 its fencing counter
-- ARGV: 1 to 3 of locks.lua
-- Reply: {0, …} as the state of locks.lua · {5, type} the key is no lock
-- Invariant: of a large hash a part is read.

-- include locks.lua
return state(0, true)
