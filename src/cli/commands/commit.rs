//! `commit`: an image of what is in a service's container.

use std::process::ExitCode;

use crate::cli::compose_options::Index;
use crate::cli::services::find_one;
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::CommitOptions;
use crate::model::reference::Reference;

/// Create an image from the file system of a service's container
///
/// What is in volumes is not part of it: `taskava dev snapshot save` saves that. Prints the image's ID.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Author of the image
    #[arg(short, long, value_name = "AUTHOR")]
    pub author: Option<String>,
    /// Apply a Dockerfile instruction to the image: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, …; repeatable
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// Message of the image
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Suspend the container meanwhile (the default); `--pause=false` lets it go on
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    #[arg(value_name = "BOOL", action = clap::ArgAction::Set, hide_default_value = true)]
    pub pause: bool,
    /// Which container.
    #[command(flatten)]
    pub index: Index,
    /// The service
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub service: String,
    /// Name of the image; without one it has only its ID
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let reference = args.image.as_deref().map(Reference::of);
        if reference.is_some_and(|reference| reference.digest.is_some()) {
            let message = "an image gets its digest when it is pushed: write REPOSITORY or REPOSITORY:TAG";
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let (engine, container) = find_one(context, &args.service, args.index).await?;
        let options = CommitOptions {
            repository: reference.map(|reference| reference.repository.to_owned()),
            tag: reference.and_then(|reference| reference.tag).map(ToOwned::to_owned),
            author: args.author.clone(),
            message: args.message.clone(),
            changes: args.change.clone(),
            pause: args.pause,
        };
        let id = engine.commit_image(&container.id, &args.service, options).await?;
        context.screen.out(&format!("{id}\n"))?;
        Ok(ExitCode::SUCCESS)
    })
}
