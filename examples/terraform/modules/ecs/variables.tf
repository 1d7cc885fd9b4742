variable "name" {
  type = string
}

variable "region" {
  type = string
}

variable "vpc_id" {
  type = string
}

variable "alb_security_group_id" {
  type = string
}

variable "task_security_group_id" {
  type = string
}

variable "image_tag" {
  type = string
}

variable "kms_key_arn" {
  type = string
}

variable "log_group_name" {
  type = string
}

variable "mail_identity_arn" {
  type = string
}

variable "database_secret_arn" {
  type = string
}

variable "public_subnet_ids" {
  type = list(string)
}

variable "private_subnet_ids" {
  type = list(string)
}

variable "certificate_arn" {
  type     = string
  nullable = true
}

variable "task_count" {
  type = number
}

variable "uploads_bucket" {
  type = object({ id = string, arn = string })
}

variable "environment" {
  type = map(string)
}

variable "deletion_protection" {
  type = bool
}
