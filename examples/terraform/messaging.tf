# S3 tells of new raw objects here; RawEventsSensor and NewEventsTrigger read it.
resource "aws_sqs_queue" "raw" {
  name                       = "${var.name}-raw"
  message_retention_seconds  = 1209600
  visibility_timeout_seconds = 900
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.raw_dead.arn
    maxReceiveCount     = 20
  })
}

resource "aws_sqs_queue" "raw_dead" {
  name                      = "${var.name}-raw-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "raw" {
  queue_url = aws_sqs_queue.raw.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.raw.arn
      Condition = {
        ArnEquals    = { "aws:SourceArn" = aws_s3_bucket.lake.arn }
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
      }
    }]
  })
}

resource "aws_s3_bucket_notification" "raw" {
  bucket     = aws_s3_bucket.lake.id
  depends_on = [aws_sqs_queue_policy.raw]

  queue {
    queue_arn     = aws_sqs_queue.raw.arn
    events        = ["s3:ObjectCreated:*"]
    filter_prefix = "${local.raw}/"
  }
}

# Textract says here that a job has ended; the queue keeps it until Airflow has read it.
# Its name begins as Amazon's documentation asks for.
resource "aws_sns_topic" "textract" {
  name              = "AmazonTextract-${var.name}"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sqs_queue" "textract" {
  name                       = "${var.name}-textract"
  message_retention_seconds  = 1209600
  visibility_timeout_seconds = 900
  sqs_managed_sse_enabled    = true
}

resource "aws_sqs_queue_policy" "textract" {
  queue_url = aws_sqs_queue.textract.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.textract.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_sns_topic.textract.arn } }
    }]
  })
}

resource "aws_sns_topic_subscription" "textract" {
  topic_arn = aws_sns_topic.textract.arn
  protocol  = "sqs"
  endpoint  = aws_sqs_queue.textract.arn
}
