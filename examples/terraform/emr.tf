resource "aws_emrserverless_application" "spark" {
  name          = var.name
  release_label = var.emr_release
  type          = "spark"

  maximum_capacity {
    cpu    = "${var.max_vcpu} vCPU"
    memory = "${var.max_vcpu * 8} GB"
  }

  auto_start_configuration {
    enabled = true
  }

  auto_stop_configuration {
    enabled              = true
    idle_timeout_minutes = 15
  }
}

# Driver logs, which the operators show. They may name files, never what is in a record.
resource "aws_cloudwatch_log_group" "spark" {
  name              = "/aws/emr-serverless/${var.name}"
  retention_in_days = 30
}
