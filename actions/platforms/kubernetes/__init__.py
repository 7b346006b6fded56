"""A Kubernetes cluster, acted on so that an older actor, a lost answer or another writer does no harm."""
