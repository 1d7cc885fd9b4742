# Buckets: `uploads` for what users bring, `static` for the page that CloudFront serves.

resource "aws_s3_bucket" "this" {
  for_each = toset(["uploads", "static"])

  bucket        = "${var.name}-${each.key}"
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  rule {
    bucket_key_enabled = each.key == "uploads"
    apply_server_side_encryption_by_default {
      # CloudFront could read the page with our key only by a grant on it: the page is no secret.
      sse_algorithm     = each.key == "uploads" ? "aws:kms" : "AES256"
      kms_master_key_id = each.key == "uploads" ? var.kms_key_arn : null
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "uploads" {
  bucket = aws_s3_bucket.this["uploads"].id

  rule {
    id     = "old-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # Rules on old versions are refused while there can be none.
  depends_on = [aws_s3_bucket_versioning.this]
}

# Browsers upload by a presigned URL.
resource "aws_s3_bucket_cors_configuration" "uploads" {
  bucket = aws_s3_bucket.this["uploads"].id

  cors_rule {
    allowed_origins = [var.app_url]
    allowed_methods = ["GET", "PUT"]
    allowed_headers = ["*"]
    expose_headers  = ["ETag"]
  }
}
