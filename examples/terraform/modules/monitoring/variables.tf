variable "name" {
  type = string
}

variable "alarm_mail" {
  type = string
}

variable "database_id" {
  type = string
}

variable "force_destroy" {
  type = bool
}
