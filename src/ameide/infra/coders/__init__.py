"""Coders: who changes the working tree for a requirement. A port with interchangeable implementations."""
