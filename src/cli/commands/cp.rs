//! `cp`: copies files between a service's container and here.

mod extract;
mod place;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::ValueHint;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::io::AsyncReadExt as _;

use self::place::{At, From, Side};
use crate::cli::compose_options::Index;
use crate::cli::services::find_one;
use crate::cli::{Context, block_on, inside};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Engine, Owner, PathInfo, Upload};
use crate::event::Events;
use crate::plan::observed::Container;
use crate::run::shutdown::{Shutdown, ShutdownLevel};

/// Copy files between a service's container and this machine
///
/// The container need not run. As with docker cp: into a folder that exists, else under the new name; `FOLDER/.` means
/// what is in it. Files are replaced one by one, each when it is whole; no link is followed out of the target.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev cp api:/var/log/app.log .            from the container of api
  taskava dev cp seed.sql postgres:/tmp/           into the container of postgres
  taskava dev cp api:/app/data - | tar -t          a folder as a tar on stdout")]
pub struct Args {
    /// Keep owners (user and group by number) instead of root inside, and of you here
    #[arg(short, long)]
    pub archive: bool,
    /// If SOURCE is a link, copy what it leads to
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// Which container.
    #[command(flatten)]
    pub index: Index,
    /// `SERVICE:PATH`, a path here, or `-` for a tar from stdin
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: String,
    /// `SERVICE:PATH`, a path here, or `-` for a tar to stdout
    #[arg(value_name = "TARGET", value_hint = ValueHint::AnyPath)]
    pub target: String,
}

/// How many pieces of an archive may wait.
const PIECES: usize = 4;

/// Longest piece that is read of stdin at once.
const PIECE: usize = 64 * 1024;

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let usage = |message: &str| Err(Error::new(ErrorKind::Usage, message));
    match (place::side(&args.source), place::side(&args.target)) {
        (Side::Inside { service, path }, Side::Inside { .. }) => {
            let message = format!("both are in containers: copy {service}:{path} to a folder here first");
            usage(&message)
        }
        (Side::Here(_) | Side::Stdio, Side::Here(_) | Side::Stdio) => {
            usage("neither is in a container: write one of them as SERVICE:PATH")
        }
        (Side::Inside { service, path }, to) => block_on(async {
            let (engine, container) = find_one(context, &service, args.index).await?;
            Copy { args, context, engine, container }.out(&path, to).await
        }),
        (from, Side::Inside { service, path }) => block_on(async {
            let (engine, container) = find_one(context, &service, args.index).await?;
            Copy { args, context, engine, container }.into(from, &path).await
        }),
    }
}

struct Copy<'a> {
    args: &'a Args,
    context: &'a Context,
    engine: Engine,
    container: Container,
}

impl Copy<'_> {
    /// A path in the container, with what it is. `follow`: of a link, where it leads.
    async fn look(&self, path: &str, follow: bool) -> Result<(String, Option<PathInfo>)> {
        let info = self.engine.path_info(&self.container.id, path).await?;
        match info.as_ref().and_then(|info| info.link.clone()).filter(|_| follow) {
            Some(target) => {
                let info = self.engine.path_info(&self.container.id, &target).await?;
                Ok((target, info))
            }
            None => Ok((path.to_owned(), info)),
        }
    }

    async fn out(self, written: &str, to: Side) -> Result<ExitCode> {
        let (service, id) = (&self.container.service, &self.container.id);
        let from = place::parts(written);
        let follow = self.args.follow_link || from.contents || from.trailing;
        let (path, info) = self.look(&from.path, follow).await?;
        let info =
            info.ok_or_else(|| Error::new(ErrorKind::Other, format_args!("{service} has no file or folder {path}")))?;
        let Side::Here(to) = to else {
            return self.to_stdout(&path).await;
        };
        // A link that is copied keeps the name it was asked for by.
        let is_root = from.name.is_empty();
        let source = From { name: &from.name, folder: info.folder, contents: from.contents || is_root };
        let found = here(&to);
        let target = place::target(&source, &found)?;
        let base = match target {
            place::Target::Inside => to.canonicalize()?.join(&from.name),
            place::Target::Itself if found.exists.is_some() => to.canonicalize()?,
            place::Target::Itself => in_real_folder(&to)?,
        };
        let shutdown = Shutdown::on_signals(&Events::default());
        let (sender, receiver) = tokio::sync::mpsc::channel(PIECES);
        let (keep_owner, shown) = (self.args.archive, base.clone());
        let extracting = tokio::task::spawn_blocking(move || {
            extract::extract(extract::Pieces::of(receiver), &base, !is_root, keep_owner)
        });
        let mut archive = std::pin::pin!(self.engine.pack(id, &path));
        loop {
            let piece = tokio::select! {
                piece = archive.next() => piece,
                () = shutdown.reached(ShutdownLevel::Stop) => Some(Err(io::ErrorKind::Interrupted.into())),
            };
            let Some(piece) = piece else { break };
            let is_last = piece.is_err();
            // One that takes no more has ended with an error of its own.
            if sender.send(piece).await.is_err() || is_last {
                break;
            }
        }
        drop(sender);
        let extracted = extracting.await.map_err(io::Error::from)?;
        if shutdown.hurry() != ShutdownLevel::None {
            return Err(shutdown.error());
        }
        for left in extracted? {
            self.context.screen.note(&format!("left out, it is no file, folder or link: {left}"));
        }
        self.context.screen.note(&format!("{service}:{path} copied to {}", shown.display()));
        Ok(ExitCode::SUCCESS)
    }

    async fn to_stdout(&self, path: &str) -> Result<ExitCode> {
        if io::stdout().is_terminal() {
            let message = "a tar is not for a terminal: redirect the output, or name a file or folder";
            return Err(Error::new(ErrorKind::Usage, message));
        }
        inside::to_stdout(self.engine.pack(&self.container.id, path).map_err(Error::from)).await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn into(self, from: Side, written: &str) -> Result<ExitCode> {
        let (service, id) = (&self.container.service, &self.container.id);
        let to = place::parts(written);
        let (path, info) = self.look(&to.path, true).await?;
        let Side::Here(from) = from else {
            if !info.is_some_and(|info| info.folder) {
                let message = format!("{service} has no folder {path} to unpack a tar in");
                return Err(Error::new(ErrorKind::Other, message));
            }
            self.engine.copy_archive_in(id, &path, stdin()).await?;
            return Ok(ExitCode::SUCCESS);
        };
        let text = from.display().to_string();
        let parts = place::parts(&text);
        let follow = self.args.follow_link || parts.contents || parts.trailing;
        let seen = if follow { std::fs::metadata(&from) } else { std::fs::symlink_metadata(&from) };
        let seen = seen.map_err(|error| {
            let message = format!("{text} can't be read: {error}");
            Error::new(ErrorKind::Usage, message)
        })?;
        let real = if follow || seen.is_dir() {
            from.canonicalize()?
        } else {
            // A link is copied as one.
            in_real_folder(&from)?
        };
        let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = if parts.name.is_empty() || parts.name == ".." { name } else { parts.name.clone() };
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
        let (_, parent_info) = self.look(parent, true).await?;
        let found = At {
            shown: format!("{service}:{path}"),
            exists: info.map(|info| info.folder),
            parent: format!("{service}:{parent}"),
            parent_exists: parent_info.is_some_and(|info| info.folder),
            trailing: to.trailing,
        };
        let source = From { name: &name, folder: seen.is_dir(), contents: parts.contents };
        let target = match place::target(&source, &found)? {
            place::Target::Inside => format!("{}/{name}", path.trim_end_matches('/')),
            place::Target::Itself => path,
        };
        let mut files = Vec::new();
        let within = if seen.is_dir() { real.clone() } else { real.parent().unwrap_or(Path::new("/")).to_owned() };
        walk(&real, &within, &target, found.exists == Some(true), &mut files)?;
        let owner = if self.args.archive { Owner::Kept } else { Owner::Is(0, 0) };
        for left in self.engine.copy_in(id, files, owner).await? {
            self.context.screen.note(&format!("left out, it changed meanwhile: {}", left.display()));
        }
        self.context.screen.note(&format!("{text} copied to {service}:{target}"));
        Ok(ExitCode::SUCCESS)
    }
}

/// A path whose folder has no links; its own name may be one.
fn in_real_folder(path: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    let folder = whole.parent().unwrap_or(Path::new("/")).canonicalize()?;
    Ok(folder.join(whole.file_name().unwrap_or_default()))
}

/// A path of this machine as a target.
fn here(to: &Path) -> At {
    let whole = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
    let parent = whole.parent().unwrap_or(Path::new("/"));
    let text = to.display().to_string();
    At {
        trailing: text.ends_with('/') || text.ends_with("/."),
        exists: std::fs::metadata(to).ok().map(|seen| seen.is_dir()),
        parent: parent.display().to_string(),
        parent_exists: parent.is_dir(),
        shown: text,
    }
}

/// Everything below a path, folders before what is in them. A folder that is there already keeps its mode and owner.
fn walk(path: &Path, within: &Path, to: &str, there: bool, files: &mut Vec<Upload>) -> Result<()> {
    let failed =
        |error: io::Error| Error::new(ErrorKind::Other, format_args!("can't read {}: {error}", path.display()));
    let seen = std::fs::symlink_metadata(path).map_err(failed)?;
    if !(there && seen.is_dir()) {
        files.push(Upload { from: path.to_owned(), within: within.to_owned(), to: to.to_owned() });
    }
    if !seen.is_dir() {
        return Ok(());
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        walk(&path, within, &format!("{}/{name}", to.trim_end_matches('/')), false, files)?;
    }
    Ok(())
}

/// What is read from stdin.
fn stdin() -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::try_unfold(tokio::io::stdin(), async |mut stdin| {
        let mut piece = Vec::with_capacity(PIECE);
        let read = stdin.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (Bytes::from(piece), stdin)))
    })
}
