"""The functions that rules can call, a module for each family, and the operators' own functions."""
