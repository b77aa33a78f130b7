"""The command line: one module a group of commands. Heavy imports are inside the functions, so that help is quick."""
