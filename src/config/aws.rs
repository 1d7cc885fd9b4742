//! `[aws]`: the resources of the production account that are made in the emulator.

use std::time::Duration;

use indexmap::IndexMap;

use super::decode::{At, Decode, Entry, Map, Reader, choice, table};
use super::describe::Shape;
use super::forms::{OneOrMany, Pairs};
use super::node::{Node, Value};

table! {
    /// AWS resources that are made in the emulator. Each kind is a list of names, or a table with settings by name.
    Aws "AWS" {
        /// Region they are made in.
        region: Option<At<String>>, default "us-east-1", example r#"region = "eu-central-1""#;
        /// Service of this stack that emulates AWS.
        emulator: Option<At<String>>, default "the one of kind localstack", example r#"emulator = "localstack""#;
        /// S3 buckets.
        buckets: Named<Bucket>, default "none", example r#"buckets = ["uploads", "exports"]"#;
        /// SQS queues. A name that ends in `.fifo` makes a FIFO queue.
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
        /// SES identities: addresses or domains that may send.
        identities: Vec<At<String>>, default "none", example r#"identities = ["noreply@taskava.test"]"#;
        /// Cognito user pools.
        user_pools: Named<UserPool>, default "none", example r#"user_pools = { app = { clients = ["web"] } }"#;
        /// CloudWatch log groups.
        log_groups: Named<LogGroup>, default "none", example r#"log_groups = { "/app/api" = { retention_days = 7 } }"#;
    }
}

/// Resources that may need nothing but a name: `["a", "b"]`, or a table of settings by name.
#[derive(Debug, Clone, Default)]
pub struct Named<T>(pub Map<T>);

impl<T: Decode + Default> Decode for Named<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Array(_) = &node.value else { return Map::decode(node, reader).map(Self) };
        let mut all = IndexMap::new();
        for name in Vec::<At<String>>::decode(node, reader)? {
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
        /// Keeps old versions of objects.
        versioning: Option<bool>, default "false", example "versioning = true";
        /// Alias of the KMS key that encrypts objects.
        kms_key: Option<At<String>>, default "none", example r#"kms_key = "app""#;
        /// Origins that browsers may call it from.
        cors: OneOrMany<At<String>>, default "none", example r#"cors = ["http://localhost:3000"]"#;
        /// Objects can be read by everyone.
        public: Option<bool>, default "false", example "public = true";
        /// Objects are removed after so many days.
        expire_days: Option<u32>, default "never", example "expire_days = 30";
    }
}

table! {
    /// An SQS queue.
    Queue "AWS queues" {
        /// Queue for messages that were received too often.
        dead_letter: Option<At<String>>, default "none", example r#"dead_letter = "jobs-failed""#;
        /// How often a message is received before it goes to `dead_letter`.
        max_receive: Option<u16>, default "5", example "max_receive = 3";
        /// How long a received message is hidden from others.
        visibility: Option<Duration>, default "30s", example r#"visibility = "5m""#;
        /// How long each message is held back.
        delay: Option<Duration>, default "0s", example r#"delay = "10s""#;
        /// Removes duplicates by content; for FIFO queues.
        deduplicate: Option<bool>, default "false", example "deduplicate = true";
    }
}

table! {
    /// An SNS topic.
    Topic "AWS topics" {
        /// Queues that get its messages.
        queues: Vec<At<String>>, default "none", example r#"queues = ["jobs"]"#;
        /// Passes messages on as they are, without an envelope.
        raw: Option<bool>, default "false", example "raw = true";
    }
}

/// A secret: its text, or a table of keys and values that is stored as JSON.
#[derive(Debug, Clone)]
pub enum Secret {
    /// As it is.
    Text(String),
    /// Stored as one JSON object.
    Json(Pairs),
}

impl Decode for Secret {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => String::decode(node, reader).map(Self::Text),
            Value::Table(_) => Pairs::decode(node, reader).map(Self::Json),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a string"), Shape::Map(Box::new(super::forms::Scalar::shape()))])
    }
}

table! {
    /// An SSM parameter with more than a value.
    ParameterTable "AWS parameters" {
        /// Its value.
        value: String, default "", example r#"value = "debug""#;
        /// How it is stored.
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
        range: Option<At<String>>, default "none", example r#"range = "created:N""#;
        /// Attribute with the time after which an item is removed.
        ttl: Option<At<String>>, default "none", example r#"ttl = "expires""#;
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
        range: Option<At<String>>, default "none", example r#"range = "created:N""#;
    }
}

table! {
    /// A KMS key.
    Key "AWS keys" {
        /// What it is for.
        description: Option<String>, default "none", example r#"description = "encrypts uploads""#;
        /// Is replaced once a year.
        rotation: Option<bool>, default "false", example "rotation = true";
    }
}

table! {
    /// A Cognito user pool.
    UserPool "AWS user pools" {
        /// Its application clients.
        clients: Named<UserPoolClient>, default "none", example r#"clients = ["web"]"#;
        /// What users sign in with besides their name.
        sign_in_with: Vec<SignIn>, default "none", example r#"sign_in_with = ["email"]"#;
        /// Groups.
        groups: Vec<At<String>>, default "none", example r#"groups = ["admin"]"#;
        /// Second factor.
        mfa: Option<Mfa>, default "off", example r#"mfa = "optional""#;
        /// Prefix of the hosted sign-in page's domain.
        domain: Option<At<String>>, default "none", example r#"domain = "taskava-local""#;
        /// Users that are there from the start: name → password.
        users: Pairs, default "none", example r#"users = { "dev@taskava.test" = "Passw0rd!" }"#;
    }
}

table! {
    /// An application client of a user pool.
    UserPoolClient "AWS user pool clients" {
        /// Where the hosted page may send users back to.
        callbacks: Vec<At<String>>, default "none", example r#"callbacks = ["http://localhost:3000/callback"]"#;
        /// Has a secret, for clients that run on a server.
        secret: Option<bool>, default "false", example "secret = true";
    }
}

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
        /// Lines are removed after so many days.
        retention_days: Option<u16>, default "never", example "retention_days = 7";
    }
}
