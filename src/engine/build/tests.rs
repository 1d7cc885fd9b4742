//! What is sent to builders, and what is understood of their answers.

use super::failure::{build_hint, without_frames};
use super::*;

#[test]
fn queries_survive_their_characters() {
    let query = hijack::query(&[("t", "a/b:1".into()), ("labels", "{\"a\":\"ä&=+ %\"}".into())]);
    assert_eq!(query, "t=a/b:1&labels=%7B%22a%22%3A%22%C3%A4%26%3D%2B%20%25%22%7D".replace("%3A", ":"));
}

#[test]
fn errors_lose_what_the_user_can_do_nothing_with() {
    let text = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error";
    assert_eq!(without_frames(text), "dockerfile parse error");
    for (text, hint) in [
        ("pulling from host x failed: 401 Unauthorized", "docker login"),
        ("x: failed to resolve source metadata for x: not found", "FROM"),
        ("no matching manifest for linux/s390x", "platform"),
        ("exit code: 1", "fix the Dockerfile"),
    ] {
        assert!(build_hint(text).contains(hint), "{text}");
    }
}

#[test]
fn lines_of_both_builders_are_understood() {
    let said = |line: &str| serde_json::from_str::<Said>(line).expect(line);
    let error = said(r#"{"errorDetail":{"code":1,"message":"exit 1"},"error":"other"}"#);
    assert_eq!(error.error().as_deref(), Some("exit 1"));
    assert_eq!(said(r#"{"id":"moby.image.id","aux":{"ID":"sha256:00"}}"#).error(), None);
    let mut told = Vec::new();
    let mut steps = Steps::default();
    said(r#"{"stream":"Step 1/1 : FROM x\n"}"#).take_in(&mut steps, &mut |progress| told.push(progress.layer));
    assert_eq!(told, [Some("[1/1] FROM x".to_owned())]);
}
