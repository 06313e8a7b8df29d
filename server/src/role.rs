//! What those who look at the dashboard may see and do.

/// A role. Each may see and do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Sees rounds, their progress, figures and images; no prompts, no clients, no log.
    Viewer,
    /// Sees everything, and closes, cancels and tries rounds again.
    Operator,
    /// Gives and ends the tokens of the others.
    Admin,
}

impl Role {
    /// Its name, in forms and in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of a name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_known_by_their_names_and_grow() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        for role in [Role::Viewer, Role::Operator, Role::Admin] {
            assert_eq!(Role::of_name(role.name()), Some(role));
        }
        assert_eq!(Role::of_name("Admin"), None);
    }
}
