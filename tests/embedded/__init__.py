"""The embedded engine, part by part and as a whole. Linux only."""
