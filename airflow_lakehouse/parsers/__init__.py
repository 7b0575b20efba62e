"""The built-in sources, registered through the same door as anybody's."""
