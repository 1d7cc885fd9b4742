//! The kinds of services.

use serde::Serialize;

/// Declares the kinds: each with its word in services.toml.
macro_rules! kinds {
    ($($(#[$attribute:meta])* $variant:ident $word:literal)*) => {
        /// What is special about a service: how it is probed, reached, stopped and explained.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "lowercase")]
        #[expect(missing_docs, reason = "each is the product of its name")]
        pub enum Kind {
            $($(#[$attribute])* $variant,)*
        }

        impl Kind {
            /// All kinds, in the order they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Their words in services.toml, in that order.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// As written in services.toml.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

kinds! {
    Postgres "postgres"
    Redis "redis"
    Localstack "localstack"
    Mailhog "mailhog"
    Mailpit "mailpit"
    Ministack "ministack"
    /// Anything else that stays up.
    Generic "generic"
    /// Runs to completion; exit 0 is success.
    Job "job"
}
