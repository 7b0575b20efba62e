output "lakehouse_connection" {
  description = "The extra of Airflow's connection of type lakehouse."
  value = jsonencode({
    catalog     = "glue"
    region      = var.region
    raw         = "s3://${aws_s3_bucket.lake.id}/${local.raw}"
    warehouse   = "s3://${aws_s3_bucket.lake.id}/${local.warehouse}"
    textract    = "s3://${aws_s3_bucket.lake.id}/${local.textract}"
    scripts     = "s3://${aws_s3_bucket.lake.id}/${local.scripts}"
    aws_conn_id = "aws_default"
  })
}

output "aws_connection" {
  description = "The extra of Airflow's connection of type aws that the lakehouse connection names."
  value       = jsonencode({ role_arn = aws_iam_role.airflow.arn, region_name = var.region })
}

output "emr_application_id" {
  description = "The EMR Serverless application the jobs run on."
  value       = aws_emrserverless_application.spark.id
}

output "spark_role_arn" {
  description = "The role the jobs run under."
  value       = aws_iam_role.spark.arn
}

output "raw_queue_url" {
  description = "For RawEventsSensor and NewEventsTrigger."
  value       = aws_sqs_queue.raw.id
}

output "textract_notice" {
  description = "Topic and role Textract says through that a job has ended, and the queue to read."
  value = {
    topic_arn = aws_sns_topic.textract.arn
    role_arn  = aws_iam_role.textract.arn
    queue_url = aws_sqs_queue.textract.id
  }
}
