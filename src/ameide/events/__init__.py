"""EVENTS: what was asked (intents) and what is true (facts). Outbox, sequencing relay, log, queues, cursors, wake-ups."""
