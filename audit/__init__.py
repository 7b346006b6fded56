"""A tamper-evident journal of opaque bytes. It knows nothing of what it keeps."""
