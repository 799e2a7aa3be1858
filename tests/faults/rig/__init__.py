"""The fault rig: an installation of separate processes, killed at named points under load, and judged afterwards."""
