-- Messages that are being decided alone, because they may be what kills workers: how many trials of each began and
-- never ended. Rows leave when a trial ends, so there are few; begun changes in place, being in no index. last_trial
-- is the number of the newest trial: begun again for want of an answer, it is counted once.
CREATE TABLE fact_trial (
    stream       text    NOT NULL COLLATE "C",
    sequence     bigint  NOT NULL,
    stored_at_ns bigint  NOT NULL,
    begun        integer NOT NULL,
    last_trial   bigint  NOT NULL,
    PRIMARY KEY (stream, sequence, stored_at_ns)
);
