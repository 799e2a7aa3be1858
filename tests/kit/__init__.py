"""The conformance kit for executors: a real Domain, a wire that fails on purpose, and the rules that an executor keeps.

`make kit EXECUTOR='…'` runs it on any program; docs/reference/executor-protocol.md says what the rules are.
"""
