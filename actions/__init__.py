"""How things are done and undone.

An action computes a `Plan` purely from facts; a platform writes it with two verbs, `apply` and `holds`.
"""
