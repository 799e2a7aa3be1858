"""The owner: decides commands, keeps state, states facts."""
