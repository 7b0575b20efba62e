variable "region" {
  description = "AWS region of everything here."
  type        = string
}

variable "name" {
  description = "Begins the name of every resource; lower case, digits and hyphens."
  type        = string
  default     = "lakehouse"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "Lower case, digits and hyphens, 31 characters at most."
  }
}

variable "airflow_principals" {
  description = "ARNs of who runs Airflow's workers and triggerer, such as the MWAA execution role; they may assume Airflow's role."
  type        = list(string)
}

variable "emr_release" {
  description = "Release of EMR Serverless; its Spark and Iceberg must be a pair the package supports."
  type        = string
  default     = "emr-7.12.0"
}

variable "max_vcpu" {
  description = "vCPUs the EMR Serverless application may use at once."
  type        = number
  default     = 64
}

variable "raw_expiration_days" {
  description = "Days after which older versions of raw objects are deleted; the current ones stay."
  type        = number
  default     = 90
}
