# Three roles. What each may do is in policies/: the project's tests compare it with the calls the code makes.

locals {
  account  = "${var.region}:${data.aws_caller_identity.current.account_id}"
  glue_arn = "arn:${data.aws_partition.current.partition}:glue:${local.account}"

  arns = {
    bucket       = aws_s3_bucket.lake.arn
    raw          = "${aws_s3_bucket.lake.arn}/${local.raw}/*"
    textract     = "${aws_s3_bucket.lake.arn}/${local.textract}/*"
    warehouse    = "${aws_s3_bucket.lake.arn}/${local.warehouse}/*"
    scripts      = "${aws_s3_bucket.lake.arn}/${local.scripts}/*"
    logs         = "${aws_s3_bucket.lake.arn}/${local.logs}/*"
    glue         = local.glue_arn
    glue_jobs    = "${local.glue_arn}:job/${var.name}*"
    emr          = aws_emrserverless_application.spark.arn
    log_group    = aws_cloudwatch_log_group.spark.arn
    glue_logs    = "arn:${data.aws_partition.current.partition}:logs:${local.account}:log-group:/aws-glue/*"
    raw_queue    = aws_sqs_queue.raw.arn
    notice_queue = aws_sqs_queue.textract.arn
    topic        = aws_sns_topic.textract.arn
    spark_role   = aws_iam_role.spark.arn
    notice_role  = aws_iam_role.textract.arn
  }
}

# Airflow's workers and triggerer: start jobs, watch them, read metadata, listen to queues.
resource "aws_iam_role" "airflow" {
  name = "${var.name}-airflow"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.airflow_principals }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "airflow" {
  name   = "lakehouse"
  role   = aws_iam_role.airflow.id
  policy = templatefile("${path.module}/policies/airflow.json", local.arns)
}

# The jobs, on EMR Serverless or Glue: read raw objects, write tables.
resource "aws_iam_role" "spark" {
  name = "${var.name}-spark"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["emr-serverless.amazonaws.com", "glue.amazonaws.com"] }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "spark" {
  name   = "lakehouse"
  role   = aws_iam_role.spark.id
  policy = templatefile("${path.module}/policies/spark.json", local.arns)
}

# Textract itself: say that a job has ended. Documents it reads by the rights of who asks.
resource "aws_iam_role" "textract" {
  name = "${var.name}-textract"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "textract.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "textract" {
  name   = "lakehouse"
  role   = aws_iam_role.textract.id
  policy = templatefile("${path.module}/policies/textract.json", local.arns)
}
