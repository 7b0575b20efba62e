"""Opening what there is, without Spark: files and objects by their version, the catalog through PyIceberg."""
