-- highest: the mark of a resource, for messages.
-- Parameters: $1 resource text.
-- Rows: 1 with the token; none = nobody has claimed.
SELECT token FROM leasehold_fencing WHERE resource = $1;
