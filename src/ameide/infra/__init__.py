"""Infra.

How delegated work runs. Executors claim work, run it in a workspace, leave evidence and report the outcome.
"""
