"""The control plane for other agents by the Model Context Protocol: they read, ask and propose by their own token."""
