//! `[aws]`: the resources of the production account to create in the emulator.

use std::time::Duration;

use indexmap::IndexMap;

use super::decode::{Decode, Entry, Map, Reader, Spanned, choice, integer, table};
use super::describe::Shape;
use super::forms::{Number, OneOrMany, Pairs};
use super::node::{Node, Value};

table! {
    /// AWS resources to create in the emulator. Each kind is a list of names, or a table with settings by name.
    Aws "AWS" {
        /// Region of the resources.
        region: Option<Spanned<String>>, default "us-east-1", example r#"region = "eu-central-1""#;
        /// Service of this stack that emulates AWS. Resources that LocalStack's community edition does not support (Cognito, SES, …) are created in the service of kind ministack, if there is one.
        emulator: Option<Spanned<String>>, default "the one of kind localstack, else of kind ministack", example r#"emulator = "localstack""#;
        /// S3 buckets.
        buckets: Named<Bucket>, default "none", example r#"buckets = ["uploads", "exports"]"#;
        /// SQS queues. A queue whose name ends in `.fifo` is a FIFO queue.
        queues: Named<Queue>, default "none", example r#"queues = { jobs = { dead_letter = "jobs-failed" }, jobs-failed = {} }"#;
        /// SNS topics.
        topics: Named<Topic>, default "none", example r#"topics = { orders = { queues = ["jobs"] } }"#;
        /// Secrets Manager secrets.
        secrets: Map<Secret>, default "none", example r#"secrets = { "app/db" = "${DB_PASSWORD:-taskava}" }"#;
        /// SSM parameters.
        parameters: Map<Parameter>, default "none", example r#"parameters = { "/app/log-level" = "debug" }"#;
        /// DynamoDB tables.
        tables: Map<DynamoTable>, default "none", example r#"tables = { sessions = { hash = "id", ttl = "expires" } }"#;
        /// KMS keys, by alias.
        keys: Named<Key>, default "none", example r#"keys = ["app"]"#;
        /// SES identities: addresses or domains that may send mail.
        identities: Vec<Spanned<String>>, default "none", example r#"identities = ["noreply@taskava.test"]"#;
        /// Cognito user pools.
        user_pools: Named<UserPool>, default "none", example r#"user_pools = { app = { clients = ["web"] } }"#;
        /// CloudWatch log groups.
        log_groups: Named<LogGroup>, default "none", example r#"log_groups = { "/app/api" = { retention_days = 7 } }"#;
        /// CloudWatch alarms.
        alarms: Map<Alarm>, default "none", example r#"alarms = { errors = { namespace = "app", metric = "errors", above = 5 } }"#;
        /// IAM roles.
        roles: Named<Role>, default "none", example r#"roles = { task = { allow = ["s3:GetObject"] } }"#;
    }
}

/// Resources that may need nothing but a name: `["a", "b"]`, or a table of settings by name.
#[derive(Debug, Clone, Default)]
pub struct Named<T>(pub Map<T>);

impl<T: Decode + Default> Decode for Named<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Array(_) = &node.value else { return Map::decode(node, reader).map(Self) };
        let mut all = IndexMap::new();
        for name in Vec::<Spanned<String>>::decode(node, reader)? {
            let entry = Entry { key: name.place.clone(), value: T::default(), broken: false };
            if all.insert(name.value.clone(), entry).is_some() {
                reader.error(&name.place, format_args!("`{}` is listed twice", name.value));
            }
        }
        Some(Self(all))
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::List(Box::new(Shape::Text("a name"))), Shape::Map(Box::new(T::shape()))])
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

table! {
    /// An S3 bucket.
    Bucket "AWS buckets" {
        /// Keep old versions of objects.
        versioning: Option<bool>, default "false", example "versioning = true";
        /// Alias of the KMS key that encrypts objects.
        kms_key: Option<Spanned<String>>, default "none", example r#"kms_key = "app""#;
        /// Origins from which browsers may access it.
        cors: OneOrMany<Spanned<String>>, default "none", example r#"cors = ["http://localhost:3000"]"#;
        /// Everyone can read the objects.
        public: Option<bool>, default "false", example "public = true";
        /// Number of days after which objects are removed. Short for one rule of `lifecycle`.
        expire_days: Option<u32>, default "never", example "expire_days = 30";
        /// Rules for removing objects.
        lifecycle: Vec<Lifecycle>, default "none", example r#"lifecycle = [{ prefix = "tmp/", expire_days = 1 }, { old_versions_days = 90 }]"#;
        /// Folder whose files are uploaded to the bucket if they are missing there or have changed in the folder.
        seed: Option<Spanned<String>>, default "none", example r#"seed = "docker/localstack/uploads""#;
    }
}

table! {
    /// When objects of a bucket are removed.
    Lifecycle "AWS bucket lifecycle" {
        /// Apply only to objects whose key begins with this.
        prefix: Option<String>, default "all objects", example r#"prefix = "tmp/""#;
        /// Number of days after which objects are removed.
        expire_days: Option<u32>, default "never", example "expire_days = 1";
        /// Number of days after which old versions are removed.
        old_versions_days: Option<u32>, default "never", example "old_versions_days = 90";
        /// Number of days after which unfinished multipart uploads are removed.
        abandoned_days: Option<u32>, default "never", example "abandoned_days = 7";
    }
}

table! {
    /// An SQS queue.
    Queue "AWS queues" {
        /// Dead-letter queue, for messages that were received too often.
        dead_letter: Option<Spanned<String>>, default "none", example r#"dead_letter = "jobs-failed""#;
        /// How often a message is received before it is moved to `dead_letter`.
        max_receive: Option<u16>, default "5", example "max_receive = 3";
        /// Visibility timeout: how long a received message is hidden from other receivers.
        visibility: Option<Duration>, default "30s", example r#"visibility = "5m""#;
        /// Delivery delay of each message.
        delay: Option<Duration>, default "0s", example r#"delay = "10s""#;
        /// How long messages are kept.
        retention: Option<Duration>, default "4 days", example r#"retention = "24h""#;
        /// Content-based deduplication, for FIFO queues.
        deduplicate: Option<bool>, default "false", example "deduplicate = true";
    }
}

table! {
    /// An SNS topic.
    Topic "AWS topics" {
        /// Queues subscribed to the topic.
        queues: Vec<Spanned<String>>, default "none", example r#"queues = ["jobs"]"#;
        /// Raw message delivery: messages are delivered without an envelope.
        raw: Option<bool>, default "false", example "raw = true";
    }
}

/// A secret: its text, a table of keys and values that is stored as JSON, or how long it is when it is made up.
#[derive(Debug, Clone)]
pub enum Secret {
    /// As it is.
    Text(String),
    /// Stored as one JSON object.
    Json(Pairs),
    /// So many characters, made up.
    Generated(u16),
}

impl Decode for Secret {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => String::decode(node, reader).map(Self::Text),
            Value::Table(table) if table.len() == 1 && table.contains_key("generate") => {
                let length = &table["generate"].node;
                reader.under("generate", |reader| integer(length, reader, 8..=4096)).map(Self::Generated)
            }
            Value::Table(_) => Pairs::decode(node, reader).map(Self::Json),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![
            Shape::Text("a string"),
            Shape::Map(Box::new(super::forms::Scalar::shape())),
            Shape::Text("`{ generate = 32 }`"),
        ])
    }
}

table! {
    /// An SSM parameter with more than a value.
    ParameterTable "AWS parameters" {
        /// Value of the parameter.
        value: String, default "", example r#"value = "debug""#;
        /// Type of the parameter.
        r#type: Option<ParameterType>, default "String", example r#"type = "SecureString""#;
    }
}

/// How a parameter is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the words of AWS")]
pub enum ParameterType {
    #[default]
    String,
    StringList,
    SecureString,
}

choice!(ParameterType {
    "String" => ParameterType::String,
    "StringList" => ParameterType::StringList,
    "SecureString" => ParameterType::SecureString,
});

/// A parameter: its value, or a table.
#[derive(Debug, Clone, Default)]
pub struct Parameter(pub ParameterTable);

impl Decode for Parameter {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => {
                String::decode(node, reader).map(|value| Self(ParameterTable { value, ..ParameterTable::default() }))
            }
            Value::Table(_) => ParameterTable::decode(node, reader).map(Self),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a string"), ParameterTable::shape()])
    }
}

table! {
    /// A DynamoDB table. Keys are written `name` (a string) or `name:N`, `name:B`.
    DynamoTable "AWS tables" {
        /// Partition key.
        hash: String, default "", example r#"hash = "id""#;
        /// Sort key.
        range: Option<Spanned<String>>, default "none", example r#"range = "created:N""#;
        /// TTL attribute: the time after which an item is removed.
        ttl: Option<Spanned<String>>, default "none", example r#"ttl = "expires""#;
        /// Secondary indexes by name.
        indexes: Map<Index>, default "none", example r#"indexes = { by-user = { hash = "user" } }"#;
    }
}

table! {
    /// A secondary index of a DynamoDB table.
    Index "AWS table indexes" {
        /// Partition key.
        hash: String, default "", example r#"hash = "user""#;
        /// Sort key.
        range: Option<Spanned<String>>, default "none", example r#"range = "created:N""#;
    }
}

table! {
    /// A KMS key.
    Key "AWS keys" {
        /// Description of the key.
        description: Option<String>, default "none", example r#"description = "encrypts uploads""#;
        /// Automatic rotation, once a year.
        rotation: Option<bool>, default "false", example "rotation = true";
    }
}

table! {
    /// A Cognito user pool.
    UserPool "AWS user pools" {
        /// Application clients.
        clients: Named<UserPoolClient>, default "none", example r#"clients = ["web"]"#;
        /// Attributes that users can sign in with, in addition to their user name.
        sign_in_with: Vec<SignIn>, default "none", example r#"sign_in_with = ["email"]"#;
        /// Groups.
        groups: Vec<Spanned<String>>, default "none", example r#"groups = ["admin"]"#;
        /// Multi-factor authentication.
        mfa: Option<Mfa>, default "off", example r#"mfa = "optional""#;
        /// Domain prefix of the hosted sign-in page.
        domain: Option<Spanned<String>>, default "none", example r#"domain = "taskava-local""#;
        /// Password policy.
        password: Option<PasswordPolicy>, default "8 characters of each sort", example "password = { min_length = 12, symbols = false }";
        /// Users to create: name → password, or a table.
        users: Map<User>, default "none", example r#"users = { "dev@taskava.test" = "Passw0rd!" }"#;
    }
}

table! {
    /// An application client of a user pool.
    UserPoolClient "AWS user pool clients" {
        /// Callback URLs to which the hosted page may redirect users.
        callbacks: Vec<Spanned<String>>, default "none", example r#"callbacks = ["http://localhost:3000/callback"]"#;
        /// URLs to which users may be redirected after signing out.
        logouts: Vec<Spanned<String>>, default "none", example r#"logouts = ["http://localhost:3000/"]"#;
        /// Authentication flows; refreshing tokens is always allowed.
        flows: Vec<Flow>, default "srp", example r#"flows = ["srp", "password"]"#;
        /// The client has a secret, for clients that run on a server.
        secret: Option<bool>, default "false", example "secret = true";
    }
}

table! {
    /// Password policy of a user pool.
    PasswordPolicy "AWS user pool passwords" {
        /// Minimum number of characters.
        min_length: Option<u16>, default "8", example "min_length = 12";
        /// Require an upper-case letter.
        uppercase: Option<bool>, default "true", example "uppercase = false";
        /// Require a lower-case letter.
        lowercase: Option<bool>, default "true", example "lowercase = false";
        /// Require a digit.
        digits: Option<bool>, default "true", example "digits = false";
        /// Require a symbol.
        symbols: Option<bool>, default "true", example "symbols = false";
    }
}

table! {
    /// A user of a user pool with more than a password.
    UserTable "AWS user pool users" {
        /// The password.
        password: String, default "", example r#"password = "Passw0rd!""#;
        /// Groups of the pool.
        groups: Vec<Spanned<String>>, default "none", example r#"groups = ["admin"]"#;
        /// Attributes in addition to `email`.
        attributes: Pairs, default "none", example r#"attributes = { given_name = "Dev" }"#;
    }
}

/// A user: the password, or a table.
#[derive(Debug, Clone, Default)]
pub struct User(pub UserTable);

impl Decode for User {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => {
                String::decode(node, reader).map(|password| Self(UserTable { password, ..UserTable::default() }))
            }
            Value::Table(_) => UserTable::decode(node, reader).map(Self),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a password"), UserTable::shape()])
    }
}

/// How users sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// With a proof of the password (USER_SRP_AUTH).
    Srp,
    /// With the password itself (USER_PASSWORD_AUTH).
    Password,
    /// With the password, by a server (ADMIN_USER_PASSWORD_AUTH).
    AdminPassword,
    /// By Lambda triggers (CUSTOM_AUTH).
    Custom,
}
choice!(Flow {
    "srp" => Flow::Srp,
    "password" => Flow::Password,
    "admin-password" => Flow::AdminPassword,
    "custom" => Flow::Custom,
});

/// What users sign in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "self-evident")]
pub enum SignIn {
    Email,
    Phone,
}
choice!(SignIn { "email" => SignIn::Email, "phone" => SignIn::Phone });

/// Whether there is a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "self-evident")]
pub enum Mfa {
    Off,
    Optional,
    Required,
}
choice!(Mfa { "off" => Mfa::Off, "optional" => Mfa::Optional, "required" => Mfa::Required });

table! {
    /// A CloudWatch log group.
    LogGroup "AWS log groups" {
        /// Number of days after which log events are removed.
        retention_days: Option<Spanned<u16>>, default "never", example "retention_days = 7";
    }
}

table! {
    /// A CloudWatch alarm.
    Alarm "AWS alarms" {
        /// Namespace of the metric.
        namespace: String, default "", example r#"namespace = "app""#;
        /// Name of the metric.
        metric: String, default "", example r#"metric = "errors""#;
        /// Dimensions of the metric.
        dimensions: Pairs, default "none", example r#"dimensions = { Service = "api" }"#;
        /// Statistic that is compared.
        statistic: Option<Statistic>, default "Sum", example r#"statistic = "Average""#;
        /// Alarm if the statistic is above this.
        above: Option<Spanned<Number>>, default "", example "above = 5";
        /// Alarm if the statistic is below this.
        below: Option<Spanned<Number>>, default "", example "below = 1";
        /// Length of one period.
        period: Option<Duration>, default "60s", example r#"period = "5m""#;
        /// Number of consecutive periods.
        periods: Option<u16>, default "1", example "periods = 3";
        /// Topics to notify.
        topics: Vec<Spanned<String>>, default "none", example r#"topics = ["orders"]"#;
    }
}

/// What of a metric is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the words of AWS")]
pub enum Statistic {
    #[default]
    Sum,
    Average,
    Minimum,
    Maximum,
    SampleCount,
}
choice!(Statistic {
    "Sum" => Statistic::Sum,
    "Average" => Statistic::Average,
    "Minimum" => Statistic::Minimum,
    "Maximum" => Statistic::Maximum,
    "SampleCount" => Statistic::SampleCount,
});

table! {
    /// An IAM role. The emulators do not enforce what it allows.
    Role "AWS roles" {
        /// AWS service that may assume the role.
        assumed_by: OneOrMany<Spanned<String>>, default "ecs-tasks.amazonaws.com", example r#"assumed_by = "lambda.amazonaws.com""#;
        /// Allowed actions.
        allow: Vec<Spanned<String>>, default "none", example r#"allow = ["s3:GetObject", "sqs:*"]"#;
        /// Resource on which they are allowed.
        on: OneOrMany<Spanned<String>>, default "*", example r#"on = "arn:aws:s3:::uploads/*""#;
    }
}
