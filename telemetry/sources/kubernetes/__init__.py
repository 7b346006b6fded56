"""A cluster as a source: its workloads with their pods rolled up, held by watches. It reads, and changes nothing.

`access` and `client` are how anybody speaks to an API server; platforms write through them too.
"""
