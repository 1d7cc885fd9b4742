//! What there is to know about a service of AWS: one [`ApiSpec`] each, in the file of the service. A new one is its file and
//! a line in [`spec`].

use futures_util::future::LocalBoxFuture;

use super::answer::Answer;
use super::diff::Seen;
use super::{Emulator, alarms, cognito, dynamodb, iam, kms, logs, s3, secrets, ses, sns, sqs, ssm};
use crate::model::aws::{Api, Property, Resource, ResourceId};

/// What comes of asking an emulator.
type Asked<'a, T = ()> = LocalBoxFuture<'a, Answer<T>>;

/// How one service of AWS is made to have what is declared.
pub(super) struct ApiSpec {
    /// What it holds, in words.
    pub(super) plural: &'static str,
    /// What exists of these resources, and what else was made for the stack.
    pub(super) look: for<'a> fn(&'a Emulator, &'a [&'a Resource]) -> Asked<'a, Seen>,
    /// Makes a resource that does not exist. Properties that name another resource are set afterwards, by `update`.
    pub(super) create: for<'a> fn(&'a Emulator, &'a Resource) -> Asked<'a>,
    /// Sets these properties of a resource that exists.
    pub(super) update: for<'a> fn(&'a Emulator, &'a Resource, &'a [Property]) -> Asked<'a>,
    /// Removes a resource that was made for the stack; none where nothing tells which ones were.
    pub(super) remove: Option<for<'a> fn(&'a Emulator, &'a ResourceId) -> Asked<'a>>,
}

/// That of a service of AWS.
pub(super) fn spec(api: Api) -> &'static ApiSpec {
    match api {
        Api::S3 => &s3::SPEC,
        Api::Sqs => &sqs::SPEC,
        Api::Sns => &sns::SPEC,
        Api::SecretsManager => &secrets::SPEC,
        Api::Ssm => &ssm::SPEC,
        Api::Kms => &kms::SPEC,
        Api::Logs => &logs::SPEC,
        Api::CloudWatch => &alarms::SPEC,
        Api::Ses => &ses::SPEC,
        Api::Iam => &iam::SPEC,
        Api::Dynamodb => &dynamodb::SPEC,
        Api::Cognito => &cognito::SPEC,
    }
}
