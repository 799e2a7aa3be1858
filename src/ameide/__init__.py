"""ameide: a durable, audited control plane for software delivery by people and AI agents."""
