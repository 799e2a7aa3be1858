"""What the agent does without a model: it finds records by the words of a question, and fills in templates."""
