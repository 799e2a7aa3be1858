"""Telling somebody outside that a gate waits: by a command of the operator's, or a signed webhook."""
