"""Other people's clients and tests, run against Docker Engine 28 and our own engine, and compared. Scripts, not a part of `make test`:
they need the network, and they remove and prune what they find on an engine."""
