//! Which variables of the environment count.

use std::env;
use std::ffi::OsString;

use rustix::process::{getegid, geteuid, getgid, getuid};

/// Returns a variable that says where files of ours are; none in a process that runs with the
/// rights of another than who started it, who would choose with these rights what to believe.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    let users = [getuid().as_raw(), geteuid().as_raw()];
    let groups = [getgid().as_raw(), getegid().as_raw()];
    if is_set_id(users, groups) { None } else { env::var_os(name) }
}

/// Returns whether a process runs set-user-ID or set-group-ID: real and effective IDs differ.
fn is_set_id(users: [u32; 2], groups: [u32; 2]) -> bool {
    users[0] != users[1] || groups[0] != groups[1]
}

#[cfg(test)]
mod tests {
    use super::is_set_id;

    #[test]
    fn set_id_is_of_users_and_of_groups() {
        assert!(!is_set_id([1000, 1000], [100, 100]));
        assert!(!is_set_id([0, 0], [0, 0]));
        assert!(is_set_id([1000, 0], [100, 100]));
        assert!(is_set_id([0, 1000], [100, 100]));
        assert!(is_set_id([1000, 1000], [100, 42]));
    }
}
