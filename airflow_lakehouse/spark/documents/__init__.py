"""Documents around both layers: taken out of records, read again, reviewed, and their blocks in silver."""
