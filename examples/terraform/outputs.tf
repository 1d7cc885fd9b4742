output "url" {
  description = "Where CloudFront answers."
  value       = "https://${module.cloudfront.domain_name}"
}

output "uploads_bucket" {
  value = module.s3.uploads.id
}

output "user_pool_id" {
  value = module.cognito.user_pool_id
}

output "user_pool_client_id" {
  value = module.cognito.client_id
}

output "cluster" {
  value = module.ecs.cluster_name
}

output "repository_url" {
  description = "Where the application's image is pushed to."
  value       = module.ecs.repository_url
}

output "database_secret_arn" {
  description = "Login of the database, in Secrets Manager."
  value       = module.rds.database_secret_arn
}
