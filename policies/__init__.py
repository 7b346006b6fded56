"""What should happen: declarative policies, their strict loader, and their evaluation into findings. Pure."""
