//! The AWS mirror of a stack as plain data: which services emulate AWS, and which resources must exist in them.
//! Creating them is up to `aws`.

use std::fmt;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Serialize;

use super::{Kind, Service, ServiceName, Stack};

/// The account that both emulators act as.
pub const ACCOUNT: &str = "000000000000";

/// What `[aws]` declares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aws {
    /// Region everything is made in.
    pub region: Option<String>,
    /// The service that was named as emulator.
    pub emulator: Option<ServiceName>,
    /// What has to exist, in the order of the reference.
    pub resources: Vec<Resource>,
    /// The same as it is written, to be shown.
    pub written: Option<toml::Value>,
}

/// Something that has to exist in an emulator.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// What it is, and its name.
    pub id: ResourceId,
    /// How it has to be.
    pub wanted: Properties,
    /// Folder whose files are put into a bucket.
    pub seed: Option<PathBuf>,
}

/// Property → value, in a form that is compared as text and can be shown. [`NONE`] stands for nothing.
pub type Properties = IndexMap<Property, String>;

/// The value of a property that is not set.
pub const NONE: &str = "none";

/// Kind and name of a resource: `bucket uploads`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ResourceId {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name; of what belongs to a user pool `pool/name`.
    pub name: String,
}

impl ResourceId {
    /// A kind and a name.
    pub fn new(kind: ResourceKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// Declares an enum of names: each variant with its word.
macro_rules! words {
    ($(#[$attribute:meta])* $name:ident, $(#[$about:meta])* as_str: $($variant:ident $word:literal)*) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            $(#[$about])*
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

words! {
    /// What a resource is.
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    #[expect(missing_docs, reason = "self-evident")]
    ResourceKind,
    /// In words.
    as_str:
    Bucket "bucket"
    Queue "queue"
    Topic "topic"
    Secret "secret"
    Parameter "parameter"
    Table "table"
    Key "key"
    Identity "identity"
    UserPool "user pool"
    UserPoolClient "user pool client"
    UserPoolGroup "user pool group"
    UserPoolUser "user pool user"
    LogGroup "log group"
    Alarm "alarm"
    Role "role"
}

impl ResourceKind {
    /// As a placeholder names it: `user_pool` of `${user_pool.app}`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied().filter(|kind| kind.variable().is_some());
        all.find(|kind| kind.as_str().replace(' ', "_") == text)
    }

    /// How the variable begins and ends that an application finds it by, where what it is called is known only afterwards.
    pub fn variable(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Queue => ("SQS", "QUEUE_URL"),
            Self::Topic => ("SNS", "TOPIC_ARN"),
            Self::Secret => ("SECRET", "ARN"),
            Self::Key => ("KMS", "KEY_ID"),
            Self::UserPool => ("COGNITO", "USER_POOL_ID"),
            Self::UserPoolClient => ("COGNITO", "CLIENT_ID"),
            Self::Role => ("IAM", "ROLE_ARN"),
            _ => return None,
        })
    }

    /// The service of AWS it belongs to.
    pub fn api(self) -> Api {
        match self {
            Self::Bucket => Api::S3,
            Self::Queue => Api::Sqs,
            Self::Topic => Api::Sns,
            Self::Secret => Api::SecretsManager,
            Self::Parameter => Api::Ssm,
            Self::Table => Api::Dynamodb,
            Self::Key => Api::Kms,
            Self::Identity => Api::Ses,
            Self::UserPool | Self::UserPoolClient | Self::UserPoolGroup | Self::UserPoolUser => Api::Cognito,
            Self::LogGroup => Api::Logs,
            Self::Alarm => Api::CloudWatch,
            Self::Role => Api::Iam,
        }
    }
}

words! {
    /// What can be said of a resource.
    #[expect(missing_docs, reason = "as in services.toml, or as AWS calls it")]
    Property,
    /// As it is shown.
    as_str:
    Versioning "versioning"
    Encryption "encryption"
    Cors "cors"
    Lifecycle "lifecycle"
    Public "public"
    Seed "seed"
    Visibility "visibility"
    Delay "delay"
    Retention "retention"
    Deduplicate "deduplicate"
    DeadLetter "dead_letter"
    Subscriptions "subscriptions"
    Value "value"
    Type "type"
    Keys "keys"
    Indexes "indexes"
    Ttl "ttl"
    Description "description"
    Rotation "rotation"
    Mfa "mfa"
    SignInWith "sign_in_with"
    Password "password"
    Domain "domain"
    Flows "flows"
    Callbacks "callbacks"
    Logouts "logouts"
    Secret "secret"
    Groups "groups"
    Attributes "attributes"
    Metric "metric"
    Dimensions "dimensions"
    Statistic "statistic"
    Threshold "threshold"
    Period "period"
    Periods "periods"
    Topics "topics"
    AssumedBy "assumed_by"
    Allow "allow"
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

words! {
    /// The services of AWS that resources are declared for.
    #[expect(missing_docs, reason = "the names of AWS")]
    Api,
    /// As LocalStack's `SERVICES` has it.
    as_str:
    S3 "s3"
    Sqs "sqs"
    Sns "sns"
    SecretsManager "secretsmanager"
    Ssm "ssm"
    Kms "kms"
    Logs "logs"
    CloudWatch "cloudwatch"
    Ses "ses"
    Iam "iam"
    Dynamodb "dynamodb"
    Cognito "cognito-idp"
}

/// A service of AWS by the names that its tools have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiName {
    /// As the SDKs and the AWS CLI spell it in `AWS_ENDPOINT_URL_…`.
    pub variable: &'static str,
    /// As a command of the AWS CLI.
    pub command: &'static str,
    /// As Terraform's provider has it in `endpoints`.
    pub terraform: &'static str,
}

const fn named(variable: &'static str, command: &'static str, terraform: &'static str) -> ApiName {
    ApiName { variable, command, terraform }
}

/// What LocalStack's community edition answers with 501 or can't deliver, and EC2, whose networks the others name:
/// where MiniStack runs, these are sent to it.
pub const BESIDE: [ApiName; 13] = [
    named("COGNITO_IDENTITY_PROVIDER", "cognito-idp", "cognitoidp"),
    named("COGNITO_IDENTITY", "cognito-identity", "cognitoidentity"),
    named("SES", "ses", "ses"),
    named("SESV2", "sesv2", "sesv2"),
    named("EC2", "ec2", "ec2"),
    named("ECS", "ecs", "ecs"),
    named("ECR", "ecr", "ecr"),
    named("RDS", "rds", "rds"),
    named("ELASTICACHE", "elasticache", "elasticache"),
    named("ELASTIC_LOAD_BALANCING_V2", "elbv2", "elbv2"),
    named("CLOUDFRONT", "cloudfront", "cloudfront"),
    named("WAFV2", "wafv2", "wafv2"),
    named("CLOUDTRAIL", "cloudtrail", "cloudtrail"),
];

/// The services of a stack that emulate AWS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Emulators<'a> {
    /// The one for everything that the other is not for.
    pub main: &'a Service,
    /// MiniStack in addition to LocalStack, for what that lacks ([`BESIDE`]).
    pub beside: Option<&'a Service>,
}

impl<'a> Emulators<'a> {
    /// The emulators of a stack; only the active ones count, unless one was named.
    pub fn of(stack: &'a Stack) -> Option<Self> {
        Self::among(&stack.services, stack.aws.emulator.as_ref())
    }

    /// The emulators among these services.
    pub fn among(services: &'a IndexMap<ServiceName, Service>, named: Option<&ServiceName>) -> Option<Self> {
        let first = |kind| services.values().find(|service| service.active && service.kind == kind);
        let main = match named {
            Some(name) => services.get(name)?,
            None => first(Kind::Localstack).or_else(|| first(Kind::Ministack))?,
        };
        let beside = (main.kind == Kind::Localstack).then(|| first(Kind::Ministack)).flatten();
        Some(Self { main, beside })
    }

    /// Both, or the only one.
    pub fn all(&self) -> impl Iterator<Item = &'a Service> + use<'a> {
        [Some(self.main), self.beside].into_iter().flatten()
    }

    /// The one that a service of AWS is asked of.
    pub fn serving(&self, api: Api) -> &'a Service {
        match (api, self.beside) {
            (Api::Cognito | Api::Ses, Some(beside)) => beside,
            _ => self.main,
        }
    }

    /// Variables that lead an SDK, the AWS CLI and Terraform's provider to the right one. `url` says where one is reached.
    pub fn variables(&self, region: &str, url: impl Fn(&Service) -> Option<String>) -> IndexMap<String, String> {
        let mut variables = IndexMap::new();
        if let Some(url) = url(self.main) {
            variables.insert("AWS_ENDPOINT_URL".into(), url);
        }
        if let Some(url) = self.beside.and_then(url) {
            variables.extend(BESIDE.map(|api| (format!("AWS_ENDPOINT_URL_{}", api.variable), url.clone())));
        }
        // Any will do, but without them an SDK goes looking on the machine, and finds those of the real account.
        for (name, value) in [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")] {
            variables.insert(name.into(), value.into());
        }
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            variables.insert(name.into(), region.into());
        }
        variables
    }
}

/// The port inside on which a service emulates AWS.
pub fn port(service: &Service) -> Option<u16> {
    match &service.own {
        super::Probe::Localstack { port } | super::Probe::Ministack { port } => Some(*port),
        _ => None,
    }
}

/// The region that an emulator is configured with.
pub fn region_of(emulator: &Service) -> String {
    let names = ["AWS_DEFAULT_REGION", "AWS_REGION", "DEFAULT_REGION", "MINISTACK_REGION"];
    let told = names.iter().find_map(|name| emulator.env.get(*name)).map(|value| value.value.clone());
    told.filter(|told| !told.is_empty()).unwrap_or_else(|| "us-east-1".into())
}

impl Stack {
    /// Region of the mirror: the declared one, else what the emulator is configured with, else the SDKs' own example.
    pub fn region(&self) -> String {
        let told = || Emulators::of(self).map(|emulators| region_of(emulators.main));
        self.aws.region.clone().or_else(told).unwrap_or_else(|| "us-east-1".into())
    }

    /// Whether a service is an emulator in which resources are made.
    pub fn is_emulator(&self, name: &ServiceName) -> bool {
        Emulators::of(self).is_some_and(|emulators| emulators.all().any(|one| one.name == *name))
    }

    /// Whether a service is the emulator that a service of AWS is asked of.
    pub fn serves(&self, name: &ServiceName, api: Api) -> bool {
        Emulators::of(self).is_some_and(|emulators| emulators.serving(api).name == *name)
    }

    /// What has to exist in an emulator.
    pub fn declared_in<'a>(&'a self, emulator: &'a ServiceName) -> impl Iterator<Item = &'a Resource> {
        let emulators = Emulators::of(self);
        let here = move |resource: &&Resource| {
            emulators.is_some_and(|emulators| emulators.serving(resource.id.kind.api()).name == *emulator)
        };
        self.aws.resources.iter().filter(here)
    }
}
