output "database_id" {
  value = aws_db_instance.this.identifier
}

output "database_address" {
  value = aws_db_instance.this.address
}

output "database_secret_arn" {
  value = aws_secretsmanager_secret.database.arn
}

output "redis_url" {
  value = "rediss://${aws_elasticache_replication_group.this.primary_endpoint_address}:6379"
}
