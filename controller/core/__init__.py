"""The decision: pure functions over snapshot, state and policies. No clock, chance, socket, thread or log."""
