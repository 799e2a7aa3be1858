"""Job queues under one harness: ours and those of others, each in a process of its own with its own fast settings."""
