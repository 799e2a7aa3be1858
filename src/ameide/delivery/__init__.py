"""Delivery: what a release needs from outside.

Forges (pull requests), registries (images), and the gitops repository's files.
"""
