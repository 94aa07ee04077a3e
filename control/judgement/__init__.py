"""From the counts of two arms to a verdict with its reasons. Pure."""
