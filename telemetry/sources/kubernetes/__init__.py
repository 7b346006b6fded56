"""A cluster as a source: its workloads with their pods rolled up, held by watches. It reads, and changes nothing."""
