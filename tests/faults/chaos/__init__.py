"""A seeded random run: processes and engines die, stop and come back under continuous load; the oracle ends it."""
