"""Runners: the ways in which executors are kept running. The pool is the one for long-lived machines."""
