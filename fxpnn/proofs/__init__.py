"""What can overflow, and the accumulator that cannot."""
