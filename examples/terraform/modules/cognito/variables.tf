variable "name" {
  type = string
}

variable "app_url" {
  type = string
}

variable "deletion_protection" {
  type = bool
}
