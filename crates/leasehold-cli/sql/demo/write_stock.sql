-- Purpose: writes what a seller believes is left after the sale.
-- Parameters: 1 remaining. Result: none.
-- Invariant: none, on purpose: it writes what the seller computed a moment ago, as shops do that keep the count in
-- their own objects. `SET remaining = remaining - 1` would do without any lock, and where it is enough, use it.
UPDATE stock SET remaining = ?1 WHERE one = 1;
