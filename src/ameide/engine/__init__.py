"""Embedded PostgreSQL and Temporal: built or unpacked once, started and stopped per state folder."""
