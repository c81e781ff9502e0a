"""`streamnet bench`: runs the suites in `benchmarks/`, reads and compares what they measured."""
