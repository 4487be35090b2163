"""What was lost, where and why, as values."""
