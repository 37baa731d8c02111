"""Training of the base weights that come with the package: data, synthetic appearances, tasks, and the program."""
