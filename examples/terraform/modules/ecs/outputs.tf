output "cluster_name" {
  value = aws_ecs_cluster.this.name
}

output "repository_url" {
  value = aws_ecr_repository.api.repository_url
}

output "alb_dns_name" {
  value = aws_lb.this.dns_name
}
