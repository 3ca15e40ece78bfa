"""What a sweep costs, as ratios to floors that are measured beside it in the same run. No test asserts a time."""
