"""What the agent may do: read by queries and at a commit, and propose what a person then agrees to."""
