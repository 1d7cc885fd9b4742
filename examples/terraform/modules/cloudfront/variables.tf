variable "name" {
  type = string
}

variable "static_bucket" {
  type = object({ id = string, arn = string, domain = string })
}

variable "api_domain" {
  type = string
}

variable "api_protocol" {
  type = string
}
