//! A stack → a Compose file.
