"""Typed Connect helpers: clients with a token, server interceptors, errors on the wire and back."""
