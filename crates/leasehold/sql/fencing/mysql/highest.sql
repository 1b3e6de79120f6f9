-- highest: the mark of a resource, locked until the commit; the second half of claim.sql.
-- Parameters: ? resource. Not run by Leasehold's own tests.
-- Rows: 1 with the token; none = nobody has claimed.
SELECT token FROM leasehold_fencing WHERE resource = ? FOR UPDATE;
