"""The tests: `unit` needs no engine, `engine` needs one, `browser` needs one and Chromium; what concerns the whole package is here."""
