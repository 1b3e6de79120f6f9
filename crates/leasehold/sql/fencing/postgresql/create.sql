-- create: the marks, one row a resource. Run once; repeating it does nothing.
-- Parameters: none.
CREATE TABLE IF NOT EXISTS leasehold_fencing (
    resource text NOT NULL PRIMARY KEY,
    token bigint NOT NULL CHECK (token BETWEEN 0 AND 9007199254740991)
);
