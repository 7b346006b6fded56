"""A real control plane without Docker: API server, controllers and scheduler as processes, kwok in the kubelets' place.

`python -m tests.controlplane` builds it once (about ten minutes), tests take the fixture `cluster`.
"""
