"""Orders: placed, shipped and looked up over HTTP."""
