-- Purpose: names the channel of all changes of a lock, by leasehold.channel.
SELECT leasehold.channel($1)
