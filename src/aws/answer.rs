//! What an emulator answers: what was asked for, or an error in one of the protocols of AWS.

use serde_json::Value;

use super::xml;

/// Code of no answer where asking again is of no use: nothing listens, or it took too long already.
const NO_USE: &str = "RequestTimeout";

/// What an emulator answered instead of doing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsError {
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// `NoSuchBucket`, `ResourceNotFoundException`, …
    pub code: String,
    /// In its words.
    pub message: String,
}

impl AwsError {
    /// Whether it says that there is no such thing.
    pub fn is_missing(&self) -> bool {
        let code = self.code.as_str();
        self.status == 404 || code.contains("NotFound") || code.contains("NoSuch") || code.contains("NonExistent")
    }

    /// Whether it is a fault of the emulator's own, or of the connection to it, which may have passed a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self.status {
            0 => self.code != NO_USE,
            status => matches!(status, 500 | 502..=504),
        }
    }

    /// Whether it says that it can't do this at all.
    pub fn is_unknown(&self) -> bool {
        self.status == 501
    }
}

impl std::fmt::Display for AwsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.status, self.code.is_empty()) {
            (0, _) => write!(f, "it did not answer: {}", self.message),
            (status, true) => write!(f, "it answered {status}: {}", self.message),
            (status, false) => write!(f, "it answered {status} {}: {}", self.code, self.message),
        }
    }
}

/// What an emulator said, or why it would not.
pub type Answer<T> = std::result::Result<T, AwsError>;

/// An error as one of the protocols writes it.
pub(super) fn refused(status: u16, body: &str) -> AwsError {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let field = |names: &[&str]| {
        let json = json.as_ref()?;
        names.iter().find_map(|name| json[*name].as_str()).map(str::to_owned)
    };
    let element = |name: &str| xml::read(body, |answer| xml::text(answer, name)).ok().flatten();
    let code = field(&["__type", "code"]).or_else(|| element("Code")).unwrap_or_default();
    let message = field(&["message", "Message"]).or_else(|| element("Message"));
    // `com.amazonaws.sqs#QueueDoesNotExist`
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    let message = message.unwrap_or_else(|| body.chars().take(200).collect());
    AwsError { status, code, message: message.trim_end_matches('.').to_owned() }
}

/// The innermost cause: what is around it repeats the URL.
pub(super) fn no_answer(error: &(dyn std::error::Error + 'static)) -> AwsError {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let is_final = std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error.downcast_ref::<reqwest::Error>().is_some_and(|error| error.is_timeout() || error.is_connect())
    });
    let code = if is_final { NO_USE } else { "" };
    AwsError { status: 0, code: code.into(), message: inner.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_every_protocol() {
        for (body, code, message) in [
            (
                r#"{"__type":"ResourceNotFoundException","message":"no such secret."}"#,
                "ResourceNotFoundException",
                "no such secret",
            ),
            (r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","Message":"gone"}"#, "QueueDoesNotExist", "gone"),
            (
                "<Error><Code>NoSuchBucket</Code><Message>It is not there</Message></Error>",
                "NoSuchBucket",
                "It is not there",
            ),
            (
                "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>x</Message></Error></ErrorResponse>",
                "NotFound",
                "x",
            ),
            ("gateway trouble", "", "gateway trouble"),
        ] {
            let refused = refused(400, body);
            assert_eq!((refused.code.as_str(), refused.message.as_str()), (code, message), "{body}");
        }
    }
}
