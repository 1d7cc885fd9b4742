output "uploads" {
  value = { id = aws_s3_bucket.this["uploads"].id, arn = aws_s3_bucket.this["uploads"].arn }
}

output "static" {
  value = {
    id     = aws_s3_bucket.this["static"].id
    arn    = aws_s3_bucket.this["static"].arn
    domain = aws_s3_bucket.this["static"].bucket_regional_domain_name
  }
}
