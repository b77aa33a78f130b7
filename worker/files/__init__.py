"""What people keep in files: rules and facts, read with every problem at its true place."""
