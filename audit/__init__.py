"""A tamper-evident journal of opaque bytes: append, read, sign, verify offline. It knows nothing of its user."""
