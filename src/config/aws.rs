//! `[aws]`: the resources of the production account that are made in the emulator.

use super::decode::{At, table};

table! {
    /// AWS resources that are made in the emulator.
    Aws "AWS" {
        /// Region.
        region: Option<At<String>>, default "us-east-1", example r#"region = "eu-central-1""#;
    }
}
