"""The benchmarks: conditions against the same conditions elsewhere, and what compiling rules costs."""
