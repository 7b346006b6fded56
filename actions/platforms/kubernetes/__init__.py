"""A Kubernetes cluster, acted on in forms that an older actor, a lost answer or another writer cannot turn into harm."""
