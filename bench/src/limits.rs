//! How many descriptors this process may have.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows this process `count` descriptors, if whoever runs it may.
///
/// # Errors
///
/// How many it may have instead.
pub(crate) fn allow_descriptors(count: usize) -> io::Result<()> {
    let count = count as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    // Only root raises the maximum (CAP_SYS_RESOURCE, getrlimit(2)).
    let maximum = maximum.map(|maximum| maximum.max(count));
    setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum }).map_err(|error| {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        io::Error::other(format!(
            "{count} descriptors are needed, {most} are allowed (ulimit -n): {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::allow_descriptors;

    #[test]
    fn what_is_allowed_already_needs_nothing() {
        allow_descriptors(1).unwrap();
    }

    #[test]
    fn more_than_any_kernel_has_is_refused_with_both_numbers() {
        let error = allow_descriptors(usize::MAX / 2).unwrap_err().to_string();
        assert!(error.contains("are needed") && error.contains("are allowed"), "{error}");
    }
}
