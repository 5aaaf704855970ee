"""From image bytes to a face, an aligned crop and a unit vector. Knows no store and no wire."""
