"""Where a journal is kept; every store passes tests/contracts/test_store.py."""
