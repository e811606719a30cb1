//! Where the store of a user is.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::identity::IdentityError;

/// Returns the directory that the environment names; `variable` looks one up.
///
/// `XDG_DATA_HOME` and `HOME` count only if they are absolute, as the XDG Base Directory
/// Specification demands of the first.
pub(super) fn locate(
    variable: impl Fn(&'static str) -> Option<OsString>,
) -> Result<PathBuf, IdentityError> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = path("COUNTERSIGN_HOME") {
        return Ok(home);
    }
    let absolute = |name| path(name).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("countersign"))
        .ok_or(IdentityError::NoHome)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{IdentityError, locate};

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: &str) {
        let found = locate(|name| {
            let variable = variables.iter().find(|variable| variable.0 == name);
            variable.map(|(_, value)| value.into())
        });
        let expected = match expected {
            "" => Err(IdentityError::NoHome),
            path => Ok(PathBuf::from(path)),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_nearest_variable_wins() {
        let all = [("COUNTERSIGN_HOME", "/c"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        check(&all, "/c");
        check(&all[1..], "/x/countersign");
        check(&all[2..], "/h/.local/share/countersign");
        check(&[], "");
        check(&[("COUNTERSIGN_HOME", "here")], "here");
        check(
            &[("COUNTERSIGN_HOME", ""), ("XDG_DATA_HOME", "x"), ("HOME", "/h")],
            "/h/.local/share/countersign",
        );
        check(&[("HOME", "h")], "");
    }
}
