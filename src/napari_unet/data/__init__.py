"""Images, strokes, and how they become training patches."""
