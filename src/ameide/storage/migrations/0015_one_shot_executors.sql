-- Executors that take one work and exit are missed by nobody once they are gone: others are started when something waits.
ALTER TABLE ameide.queue_served ADD COLUMN comes_back boolean NOT NULL DEFAULT true;
