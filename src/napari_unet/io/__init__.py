"""Files: models and images."""
