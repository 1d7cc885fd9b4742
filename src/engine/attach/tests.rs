//! How output and exit codes of commands are understood.

use proptest::prelude::*;

use super::*;

fn frame(kind: u8, text: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0][..], &u32::try_from(text.len()).unwrap().to_be_bytes(), text].concat()
}

#[test]
fn commands_that_could_not_be_run_are_told_from_those_that_failed() {
    let old = "OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: exec: \"nope\": executable file not found in $PATH: unknown";
    assert_eq!(not_run(old), Some((127, "\"nope\": executable file not found in $PATH".into())));
    let denied = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/etc\": permission denied: unknown";
    assert_eq!(not_run(denied), Some((126, "\"/etc\": permission denied".into())));
    let folder = "OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd (\"/no\") set in config.json failed: no such file or directory: unknown\r\n";
    let said = "chdir to cwd (\"/no\") set in config.json failed: no such file or directory";
    assert_eq!(not_run(folder), Some((126, said.into())));
    assert_eq!(
        not_run("unable to find user x: no matching entries in passwd file\r\n").map(|(code, _)| code),
        Some(126)
    );
    assert_eq!(not_run("container x is not running"), None);
}

proptest! {
    #[test]
    fn output_is_the_same_however_the_bytes_were_cut(
        texts in prop::collection::vec((1_u8..=2, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        pieces in prop::collection::vec(1_usize..60, 1..10),
    ) {
        let bytes: Vec<u8> = texts.iter().flat_map(|(kind, text)| frame(*kind, text)).collect();
        let (mut frames, mut rest, mut streams) = (Frames::default(), &bytes[..], [Vec::new(), Vec::new()]);
        for piece in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (used, piece) = frames.take(&rest[..rest.len().min(*piece)]);
            if let Some((channel, piece)) = piece {
                streams[usize::from(channel == Channel::Stderr)].extend_from_slice(piece);
            }
            rest = &rest[used..];
        }
        let expected = [1, 2].map(|kind| {
            texts.iter().filter(|(of, _)| *of == kind).flat_map(|(_, text)| text.clone()).collect::<Vec<u8>>()
        });
        prop_assert_eq!(streams, expected);
    }
}
