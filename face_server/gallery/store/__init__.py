"""The truth: every enrolled template, in LMDB, on this machine's disk."""
