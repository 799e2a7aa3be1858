"""The command line: nouns and verbs. Everything that touches records goes through the Domain's door."""

from ameide.cli.root import main

__all__ = ["main"]
