"""What carries facts and intents. Chosen in app, per queue and once for facts."""
