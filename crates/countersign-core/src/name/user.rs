//! User principal names.

use std::fmt;
use std::str::FromStr;

use super::{check_text, check_word, split_realm};
use crate::NameError;

/// A user, `user@REALM`. Both parts are compared exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserName {
    user: String,
    realm: String,
}

impl UserName {
    /// Returns the user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }
}

impl FromStr for UserName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_text(text)?;
        let (user, realm) = split_realm(text)?;
        let realm = realm.ok_or(NameError::EmptyPart { part: "realm" })?;
        check_word(user, "user", |c| !matches!(c, '/' | '\\' | '*' | ':'))?;
        Ok(Self { user: user.to_owned(), realm: realm.to_owned() })
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.realm)
    }
}
