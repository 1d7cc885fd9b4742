//! The components of production: what to probe for each, the best verdict that an answer can get, and the known gaps
//! even then. Whether a service answers is not known here.

use super::Verdict;
use crate::aws::{Protocol, Question};
use crate::model::aws::Api;

/// One component of production.
#[derive(Debug)]
pub(super) struct Component {
    /// As production has it.
    pub(super) name: &'static str,
    /// The services that do its work here, in addition to the emulators' descriptions.
    pub(super) real: Option<Real>,
    /// Asked of an emulator.
    pub(super) question: Option<Question>,
    /// LocalStack's community edition lacks it: MiniStack is probed for it, if it runs.
    pub(super) beside: bool,
    /// What can be declared of it.
    pub(super) api: Option<Api>,
    /// The verdict when an answer comes.
    pub(super) at_most: Verdict,
    /// What is missing even then.
    pub(super) gaps: &'static str,
}

/// What does a component's work here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Real {
    /// The web server in front.
    Edge,
    /// Containers of the application.
    Application,
    /// PostgreSQL.
    Database,
    /// Redis.
    Cache,
    /// The stack's network.
    Network,
}

const fn json(service: &'static str, prefix: &'static str, action: &'static str) -> Option<Question> {
    let protocol = Protocol::Json { version: "1.1", prefix, input: "{}" };
    Some(Question { service, action, protocol })
}

const fn json_1_0(service: &'static str, prefix: &'static str, action: &'static str) -> Option<Question> {
    let protocol = Protocol::Json { version: "1.0", prefix, input: "{}" };
    Some(Question { service, action, protocol })
}

const fn query(service: &'static str, version: &'static str, action: &'static str) -> Option<Question> {
    Some(Question { service, action, protocol: Protocol::Query { version } })
}

const fn path(service: &'static str, action: &'static str) -> Option<Question> {
    Some(Question { service, action, protocol: Protocol::Path })
}

const fn input(question: Option<Question>, input: &'static str) -> Option<Question> {
    match question {
        Some(Question { service, action, protocol: Protocol::Json { version, prefix, .. } }) => {
            Some(Question { service, action, protocol: Protocol::Json { version, prefix, input } })
        }
        other => other,
    }
}

/// What a container or a server of the stack does; the API only describes.
const fn real(name: &'static str, real: Real, question: Option<Question>, gaps: &'static str) -> Component {
    Component { name, real: Some(real), question, beside: true, api: None, at_most: Verdict::Partial, gaps }
}

/// What an emulator does itself.
const fn emulated(name: &'static str, question: Option<Question>, api: Api, gaps: &'static str) -> Component {
    let at_most = if gaps.is_empty() { Verdict::Mirrored } else { Verdict::Partial };
    let beside = matches!(api, Api::Cognito | Api::Ses);
    Component { name, real: None, question, beside, api: Some(api), at_most, gaps }
}

/// What an emulator only keeps descriptions of.
const fn described(name: &'static str, question: Option<Question>, gaps: &'static str) -> Component {
    Component { name, real: None, question, beside: true, api: None, at_most: Verdict::MetadataOnly, gaps }
}

/// Production, from the outside in. Mirrored is what the example application's own test uses and finds as in production;
/// whatever that does not show is a gap.
pub(super) const COMPONENTS: [Component; 25] = [
    real(
        "CloudFront",
        Real::Edge,
        path("cloudfront", "/2020-05-31/distribution"),
        "a web server with one cache: no edge locations, certificates, signed URLs or functions; distributions are only described",
    ),
    real(
        "ALB",
        Real::Edge,
        query("elasticloadbalancing", "2015-12-01", "DescribeLoadBalancers"),
        "passes requests on to one container: no TLS, target groups or listener rules; load balancers are only described",
    ),
    real(
        "ECS Fargate",
        Real::Application,
        json("ecs", "AmazonEC2ContainerServiceV20141113", "ListClusters"),
        "containers of this stack, one each: no tasks, scaling, deployments or task roles; clusters are only described",
    ),
    real(
        "RDS PostgreSQL 15 Multi-AZ",
        Real::Database,
        query("rds", "2014-10-31", "DescribeDBInstances"),
        "no failover, parameter groups, backups of its own or IAM sign-in; instances are only described",
    ),
    real(
        "ElastiCache Redis 7",
        Real::Cache,
        query("elasticache", "2015-02-02", "DescribeCacheClusters"),
        "no failover, encryption in transit or parameter groups; clusters are only described",
    ),
    emulated(
        "S3",
        path("s3", "/"),
        Api::S3,
        "lifecycle rules and encryption are kept; whether they are applied is not tested",
    ),
    emulated(
        "Cognito user pools",
        input(json("cognito-idp", "AWSCognitoIdentityProviderService", "ListUserPools"), r#"{"MaxResults":1}"#),
        Api::Cognito,
        "no social login, as there is no identity provider to go to; a domain is kept, but no DNS name points to it",
    ),
    described(
        "Cognito identity pools",
        input(json("cognito-identity", "AWSCognitoIdentityService", "ListIdentityPools"), r#"{"MaxResults":1}"#),
        "credentials of a pool neither grant nor deny access",
    ),
    emulated(
        "SES",
        query("ses", "2010-12-01", "ListIdentities"),
        Api::Ses,
        "identities need no verification; no bounces, complaints or reputation",
    ),
    Component {
        name: "SES v2",
        real: None,
        question: path("ses", "/v2/email/identities"),
        beside: true,
        api: None,
        at_most: Verdict::Partial,
        gaps: "as SES",
    },
    emulated(
        "Secrets Manager",
        json("secretsmanager", "secretsmanager", "ListSecrets"),
        Api::SecretsManager,
        "no rotation",
    ),
    emulated("Parameter Store", json("ssm", "AmazonSSM", "DescribeParameters"), Api::Ssm, ""),
    emulated(
        "KMS",
        json("kms", "TrentService", "ListKeys"),
        Api::Kms,
        "key policies and grants are kept, not enforced; keys are not in hardware",
    ),
    emulated("IAM", query("iam", "2010-05-08", "ListRoles"), Api::Iam, "the example application does not use it"),
    emulated(
        "CloudWatch metrics and alarms",
        json_1_0("monitoring", "GraniteServiceVersion20100801", "DescribeAlarms"),
        Api::CloudWatch,
        "the services of the stack report no metrics of their own: only those the application sends",
    ),
    emulated(
        "CloudWatch Logs",
        json("logs", "Logs_20140328", "DescribeLogGroups"),
        Api::Logs,
        "retention is kept, but whether it is applied is not tested; containers' output stays with the engine",
    ),
    emulated(
        "SNS",
        query("sns", "2010-03-31", "ListTopics"),
        Api::Sns,
        "the example application does not use it; to queues, not to phones or apps",
    ),
    emulated("SQS", json_1_0("sqs", "AmazonSQS", "ListQueues"), Api::Sqs, "the example application does not use it"),
    emulated(
        "DynamoDB",
        json_1_0("dynamodb", "DynamoDB_20120810", "ListTables"),
        Api::Dynamodb,
        "the example application does not use it; no capacity limits, global tables or backups",
    ),
    described(
        "WAF",
        input(json("wafv2", "AWSWAF_20190729", "ListWebACLs"), r#"{"Scope":"REGIONAL"}"#),
        "no request passes through it",
    ),
    described(
        "CloudTrail",
        json("cloudtrail", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "DescribeTrails"),
        "trails are described; nothing is delivered to a bucket",
    ),
    described(
        "ECR",
        json("ecr", "AmazonEC2ContainerRegistry_V20150921", "DescribeRepositories"),
        "images are the engine's: none can be pushed or pulled",
    ),
    real(
        "VPC",
        Real::Network,
        query("ec2", "2016-11-15", "DescribeVpcs"),
        "one network for all: no subnets, security groups, NAT or endpoints; VPCs are only described",
    ),
    described(
        "Route 53",
        path("route53", "/2013-04-01/hostedzone"),
        "zones are described; no name server answers for them",
    ),
    described(
        "ACM",
        json("acm", "CertificateManager", "ListCertificates"),
        "certificates are described; no client trusts them",
    ),
];
