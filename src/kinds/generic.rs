//! Anything of which no more is known than its ports.
