"""`streamnet bench`: runs the suites in `benchmarks/`, and reads and compares what they measured."""
