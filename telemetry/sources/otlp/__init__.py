"""OTLP over HTTP: what workloads send of themselves, bounded at every step before an object is made of it."""
