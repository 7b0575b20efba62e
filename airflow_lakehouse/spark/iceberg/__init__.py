"""What every layer does to Iceberg tables: create, MERGE, branch, tag, and read as of a moment."""
