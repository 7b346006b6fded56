"""The controller in a cluster: its kinds and what it needs there, policies as objects, and their status."""
