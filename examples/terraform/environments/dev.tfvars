# The small environment: what differs from the defaults, which are production's.
env             = "dev"
database_class  = "db.t4g.micro"
cache_node_type = "cache.t4g.micro"
api_image_tag   = "latest"
api_count       = 1
app_url         = "http://localhost:8080"
mail_from       = "noreply@taskava.test"
alarm_mail      = "dev@taskava.test"

# It is made and removed as a whole.
deletion_protection = false
