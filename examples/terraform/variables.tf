variable "env" {
  description = "Name of the environment: the second part of every name, taskava-{env}-{service}."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,7}$", var.env))
    error_message = "2 to 8 small letters and digits: names of load balancers end at 32 characters."
  }
}

variable "region" {
  description = "Region of everything but CloudFront's firewall, which AWS has in us-east-1 only."
  type        = string
  default     = "eu-central-1"
}

variable "vpc_cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.20.0.0/16"
}

variable "availability_zones" {
  description = "Where it runs; two at least, for the database and the load balancer."
  type        = list(string)
  default     = ["eu-central-1a", "eu-central-1b"]
}

variable "database_class" {
  description = "Size of the database."
  type        = string
  default     = "db.t4g.medium"
}

variable "cache_node_type" {
  description = "Size of the cache."
  type        = string
  default     = "cache.t4g.small"
}

variable "api_image_tag" {
  description = "Tag of the application's image in ECR."
  type        = string
}

variable "api_count" {
  description = "How many tasks of the application run."
  type        = number
  default     = 2
}

variable "certificate_arn" {
  description = "Certificate of the load balancer; without one it speaks HTTP to CloudFront."
  type        = string
  default     = null
}

variable "app_url" {
  description = "Where users find the application: Cognito sends them back there."
  type        = string
}

variable "mail_from" {
  description = "Address that mail is sent from."
  type        = string
}

variable "alarm_mail" {
  description = "Address that alarms are sent to."
  type        = string
}

variable "deletion_protection" {
  description = "Refuse to remove what holds data: database, user pool, buckets that are not empty."
  type        = bool
  default     = true
}
