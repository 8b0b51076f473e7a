"""The smallest change of fields after which every rule holds: see docs/repair.md."""
