"""EVENTS: what was asked (intents) and what is true (facts). Outbox, relay, log, queues, cursors, wake-ups."""
