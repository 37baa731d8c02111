"""One object that trains and predicts on command, here or in another process."""
