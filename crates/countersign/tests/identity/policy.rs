//! Policy files and the environment that points to them: whom they may belong to, and when the
//! environment counts.

use std::env;
use std::fs;
use std::os::unix::fs::chown;

use countersign::Context;
use countersign::identity::Store;

use crate::{Scene, in_own_process, set_mode};

#[test]
fn policies_that_others_can_write_are_refused() {
    let scene = Scene::empty();
    let path = scene.path("policy.toml");
    fs::write(&path, "[tls]\ndanger-allow-tls12 = false\n").unwrap();
    let build = || {
        let builder = Context::builder().store(scene.store.clone());
        builder.optional_policy_file(&path).build().map(drop)
    };
    let refused = |expected: &str| {
        let message = build().unwrap_err().to_string();
        assert_eq!(message.replace(&*path.to_string_lossy(), "F"), expected);
    };
    for mode in [0o600, 0o644, 0o444] {
        set_mode(&path, mode);
        build().unwrap();
    }
    for mode in [0o620, 0o602, 0o664, 0o666] {
        set_mode(&path, mode);
        refused(&format!("others can change F (mode {mode:04o})"));
    }
    set_mode(&path, 0o644);
    if rustix::process::geteuid().is_root() {
        chown(&path, Some(65534), None).unwrap();
        refused("F belongs to user 65534, and we are user 0");
    }
}

#[test]
fn a_host_without_authorities_of_its_own_does_unless_they_are_asked_for() {
    const THIS: &str =
        "policy::a_host_without_authorities_of_its_own_does_unless_they_are_asked_for";
    if env::var_os("NO_AUTHORITIES").is_none() {
        in_own_process(
            "unset SSL_CERT_DIR; export SSL_CERT_FILE=/nonexistent NO_AUTHORITIES=1;",
            THIS,
        );
        return;
    }
    let scene = Scene::with_authority();
    let path = scene.path("policy.toml");
    let anchors = |text: &str| {
        fs::write(&path, text).unwrap();
        let builder = Context::builder().store(Store::at(scene.store.path()));
        builder.policy_file(&path).build().map(|context| context.anchors())
    };
    assert_eq!(anchors("").unwrap(), 1);
    assert_eq!(anchors("[server]\nclient-certificates = 'require'\n").unwrap(), 1);
    assert_eq!(anchors("[trust]\nstore = true\n").unwrap(), 1);
    for asking in ["[trust]\nsystem = true\n", "[trust]\nstore = true\nsystem = true\n"] {
        let message = anchors(asking).unwrap_err().to_string();
        assert!(message.starts_with("this host has no trusted authorities: "), "{message}");
    }
}

#[test]
fn a_policy_that_leaves_nobody_to_believe_says_so() {
    let scene = Scene::with_authority();
    let path = scene.path("policy.toml");
    let anchors = |text: &str, store: &std::path::Path| {
        fs::write(&path, text).unwrap();
        let builder = Context::builder().store(Store::at(store));
        builder.policy_file(&path).build().map(|context| context.anchors())
    };
    let own = scene.store.path();
    assert_eq!(anchors("[trust]\nsystem = false\n", own).unwrap(), 1, "the store goes on");
    let nothing = scene.path("nothing");
    let error = anchors("[trust]\nsystem = false\n", &nothing).unwrap_err();
    assert!(error.to_string().contains("nobody to believe"), "{error}");
    assert!(error.hint().contains("countersign identity"), "{}", error.hint());
    // Unless it is meant, in so many words.
    assert_eq!(anchors("[trust]\nstore = false\nsystem = false\n", own).unwrap(), 0);
    let error = anchors("[trust]\n", own).unwrap_err().to_string();
    assert!(error.contains("line 1, column 1: [trust] names nobody to believe"), "{error}");
}

#[test]
fn a_set_id_process_goes_by_no_variable() {
    const THIS: &str = "policy::a_set_id_process_goes_by_no_variable";
    if env::var_os("IS_SET_ID").is_none() {
        // Only root can start a process whose real and effective user differ.
        if rustix::process::geteuid().is_root() {
            in_own_process(
                "export IS_SET_ID=1 COUNTERSIGN_POLICY=/tmp/p XDG_CONFIG_HOME=/tmp HOME=/tmp \
                 COUNTERSIGN_HOME=/tmp SSL_CERT_FILE=/tmp/ca.pem; \
                 exec setpriv --ruid 65534 \"$0\" --exact \
                 policy::a_set_id_process_goes_by_no_variable;",
                THIS,
            );
        }
        return;
    }
    let files = Context::policy_files();
    assert_eq!(files, [std::path::Path::new("/etc/countersign/policy.toml")]);
    assert!(Store::default_location().is_err());
    let error = countersign::identity::system_anchors().unwrap_err().to_string();
    assert!(error.ends_with("SSL_CERT_FILE is set, and a set-id process goes by no variable"));
}
