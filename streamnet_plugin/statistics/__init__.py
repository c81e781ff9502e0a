"""What can be concluded from the windows of several methods: intervals, tests, agreement."""
