"""What makes a night safe to leave alone: one at a time, measured, mended, tidied up after, and told."""
