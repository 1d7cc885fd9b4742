# The production stack in small: CloudFront → load balancer → ECS Fargate → PostgreSQL and Redis, with what stands around them.
# Everything is named taskava-{env}-{service}.

locals {
  name = "taskava-${var.env}"
}

provider "aws" {
  region = var.region
}

# AWS keeps the firewall of CloudFront in this region, wherever the rest is.
provider "aws" {
  alias  = "us_east_1"
  region = "us-east-1"
}

# One key for what is encrypted at rest: several modules use it, so it belongs to none.
resource "aws_kms_key" "main" {
  description         = "${local.name}: data at rest"
  enable_key_rotation = true
}

resource "aws_kms_alias" "main" {
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.main.key_id
}

# Mail of the application and of Cognito.
resource "aws_ses_email_identity" "mail" {
  email = var.mail_from
}

module "vpc" {
  source = "./modules/vpc"

  name               = local.name
  cidr               = var.vpc_cidr
  availability_zones = var.availability_zones
}

module "s3" {
  source = "./modules/s3"

  name          = local.name
  kms_key_arn   = aws_kms_key.main.arn
  app_url       = var.app_url
  force_destroy = !var.deletion_protection
}

module "rds" {
  source = "./modules/rds"

  name                = local.name
  subnet_ids          = module.vpc.private_subnet_ids
  security_group_ids  = [module.vpc.data_security_group_id]
  kms_key_arn         = aws_kms_key.main.arn
  instance_class      = var.database_class
  cache_node_type     = var.cache_node_type
  deletion_protection = var.deletion_protection
}

module "cognito" {
  source = "./modules/cognito"

  name                = local.name
  app_url             = var.app_url
  deletion_protection = var.deletion_protection
}

module "ecs" {
  source = "./modules/ecs"

  name                   = local.name
  region                 = var.region
  vpc_id                 = module.vpc.vpc_id
  public_subnet_ids      = module.vpc.public_subnet_ids
  private_subnet_ids     = module.vpc.private_subnet_ids
  alb_security_group_id  = module.vpc.alb_security_group_id
  task_security_group_id = module.vpc.task_security_group_id
  certificate_arn        = var.certificate_arn
  image_tag              = var.api_image_tag
  task_count             = var.api_count
  deletion_protection    = var.deletion_protection
  kms_key_arn            = aws_kms_key.main.arn
  log_group_name         = module.monitoring.api_log_group_name
  mail_identity_arn      = aws_ses_email_identity.mail.arn
  uploads_bucket         = module.s3.uploads
  database_secret_arn    = module.rds.database_secret_arn

  # The whole configuration of the application: it reads it the same way here and on a developer's machine.
  environment = {
    UPLOADS_BUCKET       = module.s3.uploads.id
    DATABASE_HOST        = module.rds.database_address
    REDIS_URL            = module.rds.redis_url
    COGNITO_USER_POOL_ID = module.cognito.user_pool_id
    COGNITO_CLIENT_ID    = module.cognito.client_id
    MAIL_FROM            = var.mail_from
  }
}

module "cloudfront" {
  source = "./modules/cloudfront"
  providers = {
    aws           = aws
    aws.us_east_1 = aws.us_east_1
  }

  name          = local.name
  static_bucket = module.s3.static
  api_domain    = module.ecs.alb_dns_name
  api_protocol  = var.certificate_arn == null ? "http-only" : "https-only"
}

module "monitoring" {
  source = "./modules/monitoring"

  name          = local.name
  alarm_mail    = var.alarm_mail
  database_id   = module.rds.database_id
  force_destroy = !var.deletion_protection
}
