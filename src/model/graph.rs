//! The dependency order of a stack's services.

use indexmap::IndexSet;

use super::{Dependency, ServiceName, Stack};

/// Services in dependency order: each after everything it depends on, otherwise as in the file.
/// A dependency cycle (refused by `resolve`) ends where it was entered.
pub fn order(stack: &Stack) -> Vec<&ServiceName> {
    closure(stack, stack.services.keys())
}

/// The given services with all they need, in dependency order. A dependency that is not required counts where it is active or given.
pub fn closure<'a>(stack: &'a Stack, names: impl IntoIterator<Item = &'a ServiceName>) -> Vec<&'a ServiceName> {
    fn visit<'a>(
        stack: &'a Stack,
        name: &'a ServiceName,
        seen: &mut IndexSet<&'a ServiceName>,
        out: &mut Vec<&'a ServiceName>,
    ) {
        let Some((name, service)) = stack.services.get_key_value(name) else { return };
        if seen.insert(name) {
            for dependency in service.depends_on.keys() {
                visit(stack, dependency, seen, out);
            }
            out.push(name);
        }
    }
    let (mut seen, mut out, mut needed) = (IndexSet::new(), Vec::new(), IndexSet::new());
    let mut queue = Vec::new();
    for name in names {
        visit(stack, name, &mut seen, &mut out);
        queue.push(name);
    }
    while let Some(name) = queue.pop() {
        let Some(service) = stack.services.get(name).filter(|_| needed.insert(name)) else { continue };
        let counts = |(other, on): &(&ServiceName, &Dependency)| {
            on.required || stack.services.get(*other).is_some_and(|other| other.active)
        };
        queue.extend(service.depends_on.iter().filter(counts).map(|(other, _)| other));
    }
    out.retain(|name| needed.contains(name));
    out
}

/// The same, as names of their own.
pub fn with_dependencies<'a>(stack: &'a Stack, names: impl IntoIterator<Item = &'a ServiceName>) -> Vec<ServiceName> {
    closure(stack, names).into_iter().cloned().collect()
}

/// The services that depend on a service, directly or through others.
pub fn dependents<'a>(stack: &'a Stack, name: &ServiceName) -> IndexSet<&'a ServiceName> {
    let mut found: IndexSet<&ServiceName> = IndexSet::new();
    let mut queue = vec![name.clone()];
    while let Some(next) = queue.pop() {
        for (other, service) in &stack.services {
            if service.depends_on.contains_key(&next) && found.insert(other) {
                queue.push(other.clone());
            }
        }
    }
    found
}
