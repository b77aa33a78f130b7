"""The domain's ports on real services. Each adapter translates its driver's errors at its boundary."""
