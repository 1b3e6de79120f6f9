-- create: the marks, one row a resource. Run once; repeating it does nothing. Not run by Leasehold's own tests.
-- Parameters: none. Names of resources are compared byte by byte and have at most 512 bytes.
CREATE TABLE IF NOT EXISTS leasehold_fencing (
    resource VARBINARY(512) NOT NULL PRIMARY KEY,
    token BIGINT UNSIGNED NOT NULL CHECK (token <= 9007199254740991)
) ENGINE = InnoDB;
