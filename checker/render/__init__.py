"""How results are shown: reports, trees, differences and rules, for people and as plain data."""
