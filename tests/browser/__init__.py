"""Tests of what a user sees: real JupyterLab in a real browser, on a real engine."""
