-- Purpose: a new shop that sells one kind of item.
-- Parameters: none. Result: none.
-- Invariant: an honest shop keeps stock.remaining + count(orders) constant.
CREATE TABLE stock (one INTEGER PRIMARY KEY CHECK (one = 1), remaining INTEGER NOT NULL);
CREATE TABLE orders (number INTEGER PRIMARY KEY, worker INTEGER NOT NULL, fence INTEGER);
CREATE TABLE naive_lock (name TEXT PRIMARY KEY, expires_ns INTEGER NOT NULL);
