"""Searches every state of a model: terms to machine code over packed words, breadth first."""
