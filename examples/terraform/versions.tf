terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
    # No `random` or the like: what Terraform makes up stands in its state; secrets are AWS's own to make.
  }

  # The state of the real account. `taskava dev terraform` keeps another, of its own, in .terraform/taskava.
  backend "s3" {
    key          = "taskava.tfstate"
    use_lockfile = true
  }
}
