"""A person's walk over the real program: it starts services, breaks them, and checks what was done about it.

Nothing in the engine knows of it. Every step is the real command line; every claim is checked against the trail and
against the supervisor's own effect log.
"""
