//! stub
use crate::diag::*;
use crate::model::Stack;
use std::path::PathBuf;
/// x
#[derive(Debug, Default)]
pub struct Ask {
    /// x
    pub file: Option<PathBuf>,
    /// x
    pub project: Option<String>,
    /// x
    pub profiles: Vec<String>,
}
/// x
#[derive(Debug)]
pub struct Loaded {
    /// x
    pub stack: Stack,
    /// x
    pub warnings: Vec<Diagnostic>,
}
/// x
pub fn stack(_: &Ask) -> Result<Loaded> {
    Err(Error::new(ErrorKind::Other, "stub"))
}
