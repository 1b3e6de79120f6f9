-- Purpose: keeps what was sold.
-- Parameters: 1 worker, 2 fencing token or null. Result: none.
-- Invariant: in the transaction that writes the stock.
INSERT INTO orders (worker, fence) VALUES (?1, ?2);
