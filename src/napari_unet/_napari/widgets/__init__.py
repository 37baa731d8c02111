"""Forms and panels of the dock."""
