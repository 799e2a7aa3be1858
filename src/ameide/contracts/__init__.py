"""What the messages don't say: topics, routing, keys, the envelope, hashes, digest-only image references. No I/O."""
