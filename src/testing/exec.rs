//! Runs commands in the containers of a stack.

use super::{Error, ErrorKind, Stack, on_a_thread};
use crate::engine::Engine;
use crate::engine::attach::{Channel, ExecOptions, not_run};

/// The output of a command, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; 0 is success, and 128 + N means, as in a shell, that signal N ended it.
    pub code: i64,
    /// Its standard output. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub stdout: String,
    /// Its standard error, likewise.
    pub stderr: String,
}

impl Stack {
    /// Runs a command in the container of a service, like `taskava dev exec`, and waits until it exits, without a time
    /// limit. It is run without a shell, standard input or terminal. A command that fails is not an error: see
    /// [`Output::code`].
    ///
    /// ```no_run
    /// # async fn test(stack: &taskava::testing::Stack) -> Result<(), taskava::testing::Error> {
    /// let keys = stack.exec("redis", ["redis-cli", "DBSIZE"]).await?;
    /// assert_eq!((keys.code, keys.stdout.trim()), (0, "0"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`ErrorKind::Usage`]: there is no such service, or no command is given.
    /// - [`ErrorKind::CommandMissing`]: the container has no such program.
    /// - [`ErrorKind::CommandRefused`]: the program can't be executed.
    /// - [`ErrorKind::Other`]: the container does not run, or the engine refuses.
    /// - [`ErrorKind::Engine`]: the engine does not answer.
    pub async fn exec<S: Into<String>>(
        &self,
        service: &str,
        command: impl IntoIterator<Item = S>,
    ) -> Result<Output, Error> {
        let (id, engine, service) = (self.container(service)?, self.engine.clone(), service.to_owned());
        let command: Vec<String> = command.into_iter().map(Into::into).collect();
        if command.is_empty() {
            return Err(Error::new(ErrorKind::Usage, format!("no command is given to run in {service}")));
        }
        on_a_thread(|| async move {
            let ran = run(&engine, &id, command.clone()).await?;
            // An engine reports in the output that it could not run a command.
            let refused = match ran.code {
                126 | 127 => not_run(&ran.stdout).or_else(|| not_run(&ran.stderr)),
                _ => None,
            };
            let Some((code, why)) = refused else { return Ok(ran) };
            let kind = if code == 127 { ErrorKind::CommandMissing } else { ErrorKind::CommandRefused };
            let why = why.strip_prefix(&format!("{:?}: ", command[0])).unwrap_or(&why);
            Err(Error::new(kind, format!("can't run `{}` in {service}: {why}", command[0])))
        })
        .await
    }
}

async fn run(engine: &Engine, container: &str, command: Vec<String>) -> crate::diag::Result<Output> {
    let options = ExecOptions { command, output: true, ..ExecOptions::default() };
    let exec = engine.prepare_exec(container, &options).await?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    match engine.start_exec(&exec, &options).await {
        Ok(mut attached) => {
            while let Some((channel, piece)) = attached.output.next().await? {
                if channel == Channel::Stdout { &mut stdout } else { &mut stderr }.extend(piece);
            }
        }
        // Some engines refuse the call instead.
        Err(error) if not_run(&error.to_string()).is_some() => {
            return Ok(Output { code: 126, stdout: String::new(), stderr: error.to_string() });
        }
        Err(error) => return Err(error),
    }
    let code = engine.exec_end(&exec).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { code, stdout: text(stdout), stderr: text(stderr) })
}
