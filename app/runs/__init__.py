"""The control plane: run records, the ledger of units with their leases, events."""
