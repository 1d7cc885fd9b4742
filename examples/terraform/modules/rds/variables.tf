variable "name" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "security_group_ids" {
  type = list(string)
}

variable "kms_key_arn" {
  type = string
}

variable "instance_class" {
  type = string
}

variable "cache_node_type" {
  type = string
}

variable "deletion_protection" {
  type = bool
}
