# What holds the application's data: PostgreSQL in two zones, and Redis as its cache.

resource "aws_db_subnet_group" "this" {
  name       = "${var.name}-db"
  subnet_ids = var.subnet_ids
}

# The database's login. Secrets Manager makes the password once and keeps it; the application reads it there. It stands in the
# state too, so the state's bucket has to be private and encrypted.
data "aws_secretsmanager_random_password" "database" {
  password_length     = 32
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "database" {
  name                    = "${var.name}-database"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.deletion_protection ? 7 : 0
}

resource "aws_secretsmanager_secret_version" "database" {
  secret_id = aws_secretsmanager_secret.database.id
  secret_string = jsonencode({
    username = "taskava"
    password = data.aws_secretsmanager_random_password.database.random_password
  })

  lifecycle {
    ignore_changes = [secret_string] # another password is offered each time
  }
}

resource "aws_db_instance" "this" {
  identifier     = "${var.name}-db"
  engine         = "postgres"
  engine_version = "15"
  instance_class = var.instance_class
  multi_az       = true

  db_name  = "taskava"
  username = jsondecode(aws_secretsmanager_secret_version.database.secret_string).username
  password = jsondecode(aws_secretsmanager_secret_version.database.secret_string).password

  allocated_storage     = 20
  max_allocated_storage = 200
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = var.security_group_ids

  backup_retention_period   = 7
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = "${var.name}-db-last"
}

resource "aws_elasticache_subnet_group" "this" {
  name       = "${var.name}-cache"
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id = "${var.name}-cache"
  description          = "Cache of ${var.name}"
  engine               = "redis"
  engine_version       = "7.1"
  node_type            = var.cache_node_type
  parameter_group_name = "default.redis7"
  port                 = 6379

  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true

  at_rest_encryption_enabled = true
  transit_encryption_enabled = true

  subnet_group_name  = aws_elasticache_subnet_group.this.name
  security_group_ids = var.security_group_ids
}
