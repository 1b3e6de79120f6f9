-- Purpose: puts the items on the shelf.
-- Parameters: 1 how many. Result: none.
-- Invariant: once, before anybody sells.
INSERT INTO stock (one, remaining) VALUES (1, ?1);
