-- Purpose: what the shop has in the end, counted.
-- Parameters: none. Result: orders, remaining.
-- Invariant: none.
SELECT (SELECT count(*) FROM orders), (SELECT remaining FROM stock WHERE one = 1);
