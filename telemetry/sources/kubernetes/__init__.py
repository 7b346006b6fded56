"""One Kubernetes API server: who we are there, and requests whose outcome is never in doubt without saying so."""
