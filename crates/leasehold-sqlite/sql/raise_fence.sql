-- Purpose: raises the fencing counter.
-- Parameters: 1 the new height. Result: none.
-- Invariant: the counter never falls.
UPDATE meta SET fence = max(fence, ?1) WHERE one = 1;
