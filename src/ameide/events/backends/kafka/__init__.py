"""Kafka carries facts and intents, fed from the log: topics and keys of contracts 2, at least once, ordered by key."""
