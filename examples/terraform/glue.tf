# The namespaces of the lakehouse. Their tables are Iceberg's, and made by the jobs.
resource "aws_glue_catalog_database" "namespace" {
  for_each = toset(["bronze", "silver", "gold", "ops"])

  name         = each.key
  location_uri = "s3://${aws_s3_bucket.lake.id}/${local.warehouse}/${each.key}"
}
