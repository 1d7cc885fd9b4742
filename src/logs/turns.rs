//! Messages between the lines of followed logs: a container exited, was restarted, or was recreated. Pure: decides
//! which event belongs before which line; events and lines arrive on different connections.

use std::collections::VecDeque;

use crate::event::Note;

/// Turns that are to be told.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Containers that ended and whose last lines are still to come; by id, and what follows the end.
    held: Vec<(String, Note)>,
    due: VecDeque<Note>,
}

impl Turns {
    /// The next that is to be told before any other line.
    pub(super) fn next(&mut self) -> Option<Note> {
        self.due.pop_front()
    }

    /// Something happened to a container whose lines are still read.
    pub(super) fn hold(&mut self, id: &str, note: Note) {
        self.held.push((id.to_owned(), note));
    }

    /// The same of one whose lines were all shown.
    pub(super) fn tell(&mut self, note: Note) {
        // Its service's earlier container ended before, whatever is left of its lines.
        let earlier = self.held.extract_if(.., |(_, held)| held.service == note.service).map(|(_, held)| held);
        self.due.extend(earlier);
        self.due.push_back(note);
    }

    /// All lines of a container were shown.
    pub(super) fn all_shown(&mut self, id: &str) {
        self.due.extend(self.held.extract_if(.., |(held, _)| held == id).map(|(_, note)| note));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Turn;
    use crate::model::ServiceName;

    fn note(service: &str, turn: Turn) -> Note {
        Note { service: ServiceName::parse(service).expect("a name"), at: None, turn }
    }

    fn told(turns: &mut Turns) -> Vec<(String, Turn)> {
        std::iter::from_fn(|| turns.next()).map(|note| (note.service.to_string(), note.turn)).collect()
    }

    #[test]
    fn the_end_is_told_after_the_last_line() {
        let mut turns = Turns::default();
        turns.hold("a", note("api", Turn::Exited(Some(1))));
        turns.hold("a", note("api", Turn::StartedAgain));
        turns.tell(note("web", Turn::Recreated));
        assert_eq!(told(&mut turns), [("web".into(), Turn::Recreated)]);
        turns.all_shown("a");
        assert_eq!(told(&mut turns), [("api".into(), Turn::Exited(Some(1))), ("api".into(), Turn::StartedAgain)]);
    }

    #[test]
    fn the_end_of_a_container_is_told_before_the_start_of_the_one_in_its_place() {
        let mut turns = Turns::default();
        turns.hold("old", note("api", Turn::Exited(Some(0))));
        turns.tell(note("api", Turn::Recreated));
        turns.all_shown("old");
        assert_eq!(told(&mut turns), [("api".into(), Turn::Exited(Some(0))), ("api".into(), Turn::Recreated)]);
    }
}
