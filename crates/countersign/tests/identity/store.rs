//! The store: what openssl thinks of it, who can read it, and what readers see meanwhile.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use countersign::identity::{DEFAULT_VALIDITY, IdentityError, Stamp, Validity, load_credential};

use crate::{Scene, in_own_process, mode, name, set_mode};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[test]
fn a_new_store_is_for_us_alone() {
    let scene = Scene::with_authority();
    let issued = scene.issue(&["db1"]);
    scene.shell("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout k -out ca");
    assert_eq!(scene.store.trust(&scene.path("ca")).unwrap(), 1);
    for directory in ["", "issued", "trusted", "../../data"] {
        assert_eq!(mode(scene.in_store(directory)), 0o700, "{directory}");
    }
    assert_eq!(mode(issued.paths.key.parent().unwrap().canonicalize().unwrap()), 0o700);
    assert_eq!(mode(scene.in_store("authority.key")), 0o600);
    assert_eq!(mode(&issued.paths.key), 0o600);
    assert_eq!(mode(scene.in_store("authority.pem")), 0o644);
}

#[test]
fn no_umask_makes_a_key_readable() {
    for mask in ["000", "022", "077"] {
        in_own_process(&format!("umask {mask};"), "store::a_new_store_is_for_us_alone");
    }
}

#[test]
fn the_authority_is_made_once() {
    let scene = Scene::with_authority();
    let text = scene.shell("openssl x509 -in $A -noout -text");
    for part in [
        "CA:TRUE, pathlen:0",
        "Certificate Sign, CRL Sign",
        "ASN1 OID: prime256v1",
        "X509v3 Subject Key Identifier",
        "Countersign local authority",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let before = fs::read(scene.in_store("authority.key")).unwrap();
    let hint = "keep it: whatever it issued would no longer be believed; to start anew all the \
                same, move ~/data/store away";
    scene.refused(
        scene.store.init(),
        "there is an authority already: ~/data/store/authority.key",
        hint,
    );
    assert_eq!(fs::read(scene.in_store("authority.key")).unwrap(), before);
}

#[test]
fn openssl_verifies_what_was_issued_and_reads_its_names() {
    let scene = Scene::with_authority();
    let both = "TLS Web Server Authentication, TLS Web Client Authentication";
    for (names, texts) in [
        (&["db1.example.com", "db2.example.com"][..], &["DNS:db1.example.com, DNS:db2", both][..]),
        (&["192.0.2.7", "2001:db8::7"], &["IP Address:192.0.2.7, IP Address:2001:DB8:0"]),
        (&["postgres/db1.example.com"], &["SRVName::_postgres.db1.example.com", "DNS:db1", both]),
        (&["spiffe://prod/billing"], &["URI:spiffe://prod/billing", both]),
        (&["alice@EXAMPLE.COM"], &["UPN::alice@EXAMPLE.COM"]),
        (&["ldap/dc1.example.com/example.com@EXAMPLE.COM"], &["DNS:dc1.example.com", both]),
    ] {
        let issued = scene.issue(names);
        let chain = issued.paths.certificate.display();
        scene.shell(&format!("openssl verify -x509_strict -purpose sslclient -CAfile $A {chain}"));
        let text = scene.shell(&format!("openssl x509 -in {chain} -noout -text"));
        for part in texts.iter().chain(&["CA:FALSE", "Digital Signature\n", "Authority Key Id"]) {
            assert!(text.contains(part), "{part} in {text}");
        }
        // A name by which Kerberos knows the peer, told by its parts.
        let der = scene.shell(&format!("openssl asn1parse -in {chain} -dump"));
        assert_eq!(der.contains("EXAMPLE.COM"), names[0].contains('@'), "{der}");
        let serial = scene.shell(&format!("openssl x509 -in {chain} -noout -serial"));
        assert_eq!(serial.trim().len(), "serial=".len() + 32, "{serial}");
        for asked in names {
            let credential = scene.store.credential(&name(asked)).unwrap();
            assert!(credential.names().iter().any(|proved| proved.name() == &name(asked)));
        }
        let as_server = format!("openssl verify -purpose sslserver -CAfile $A {chain}");
        assert_eq!(scene.try_shell(&as_server).0, names != ["alice@EXAMPLE.COM"]);
    }
    let issued = scene.issue(&["postgres/db1.example.com"]);
    let verify = |host: &str| {
        let chain = issued.paths.certificate.display();
        scene.try_shell(&format!("openssl verify -verify_hostname {host} -CAfile $A {chain}")).0
    };
    assert!(verify("db1.example.com"));
    assert!(!verify("db2.example.com"));
}

#[test]
fn certificates_start_a_little_early_and_end_with_the_authority() {
    let scene = Scene::with_authority();
    let now = SystemTime::now();
    let issue = |validity| scene.store.issue(&[name("db1")], validity, now);
    issue(HOUR).unwrap();
    let credential = scene.store.credential(&name("db1")).unwrap();
    assert_eq!(credential.not_after().since(credential.not_before()), HOUR + HOUR / 12);
    let century = issue(HOUR * 24 * 36525).unwrap();
    let inventory = scene.store.show(now).unwrap();
    assert_eq!(century.not_after, inventory.authority.unwrap().not_after);
    scene.refused(
        issue(Duration::ZERO),
        "a certificate must be valid for a second at least",
        "give a longer one",
    );
    let late = scene.store.issue(&[name("db1")], HOUR, now + HOUR * 24 * 3653);
    assert!(matches!(late, Err(IdentityError::AuthorityExpired { .. })), "{late:?}");
}

#[test]
fn issuing_anew_replaces_and_leaves_nothing_behind() {
    let scene = Scene::with_authority();
    let first = scene.issue(&["db1"]);
    let before = fs::read(&first.paths.certificate).unwrap();
    fs::create_dir(scene.in_store("issued/.generation-interrupted")).unwrap();
    fs::write(scene.in_store("issued/.generation-interrupted/key.pem"), "").unwrap();
    symlink("nowhere", scene.in_store("issued/.new-interrupted")).unwrap();
    let second = scene.issue(&["DB1.", "db1-too"]);
    assert_eq!(first.paths, second.paths);
    assert_ne!(fs::read(&second.paths.certificate).unwrap(), before);
    let left: Vec<_> = fs::read_dir(scene.in_store("issued")).unwrap().collect();
    assert_eq!(left.len(), 2, "one link and one generation: {left:?}");
}

#[test]
fn credentials_are_found_by_the_names_that_they_prove() {
    let scene = Scene::empty();
    let find = |asked: &str| {
        let credential = scene.store.credential(&name(asked))?;
        Ok::<_, IdentityError>(credential.names()[0].name().to_string())
    };
    let init = "run `countersign identity init`";
    scene.refused(find("db1"), "there is no authority in ~/data/store", init);
    scene.refused(
        scene.store.issue(&[name("db1")], HOUR, SystemTime::now()),
        "there is no authority in ~/data/store",
        init,
    );
    assert_eq!(scene.store.anchors().unwrap(), []);
    scene.store.init().unwrap();
    assert!(scene.store.sole_credential().unwrap().is_none());
    scene.refused(
        find("alice@A"),
        "no certificate for alice@A in ~/data/store",
        "run `countersign identity issue alice@A`",
    );

    scene.issue(&["postgres/db1@A"]);
    assert!(scene.store.sole_credential().unwrap().is_some());
    scene.issue(&["mysql/db1", "mysql/db2"]);
    assert!(scene.store.sole_credential().unwrap().is_none());
    assert_eq!(find("postgres/db1").unwrap(), "postgres/db1@A");
    assert_eq!(find("MySQL/DB2.").unwrap(), "mysql/db1");
    assert_eq!(find("mysql/db1:3306").unwrap(), "mysql/db1");
    for other in ["db1", "mysql/db3", "postgres/db1@B", "postgres/db2"] {
        assert!(matches!(find(other), Err(IdentityError::NoCredential { .. })), "{other}");
    }

    let past = SystemTime::now() - HOUR * 2;
    scene.store.issue(&[name("old")], HOUR, past).unwrap();
    let error = find("old").unwrap_err();
    assert!(matches!(error, IdentityError::Expired { .. }), "{error}");
    assert_eq!(
        error.hint(),
        "run `countersign identity issue host/old`, or check the clock of this host"
    );
    assert_eq!(scene.store.anchors().unwrap().len(), 1);
}

#[test]
fn the_inventory_shows_everything_and_every_problem() {
    let scene = Scene::empty();
    assert_eq!(scene.store.show(SystemTime::now()).unwrap().authority, None);
    scene.store.init().unwrap();
    scene.issue(&["postgres/db1", "db1"]);
    let broken = scene.issue(&["zz"]);
    fs::write(&broken.paths.key, "").unwrap();
    let inventory = scene.store.show(SystemTime::now()).unwrap();
    let authority = inventory.authority.unwrap();
    let shown = scene.shell("openssl x509 -in $A -noout -fingerprint -sha256");
    let shown = shown.trim().replace(':', "").to_lowercase();
    assert_eq!(shown.rsplit('=').next(), Some(&*authority.fingerprint));
    assert_eq!(authority.validity, Validity::Current);
    assert_eq!(inventory.issued.len(), 1);
    assert_eq!(inventory.issued[0].names, [name("postgres/db1"), name("db1")]);
    assert_eq!(inventory.problems.len(), 1);
    assert!(matches!(inventory.problems[0], IdentityError::NoKey { .. }));
    let later = SystemTime::now() + DEFAULT_VALIDITY;
    for (now, expected) in
        [(later - HOUR, Validity::ExpiresSoon), (later + HOUR, Validity::Expired)]
    {
        assert_eq!(scene.store.show(now).unwrap().issued[0].validity, expected);
    }
}

#[test]
fn what_others_can_read_or_change_is_refused() {
    let scene = Scene::with_authority();
    let issued = scene.issue(&["db1"]);
    scene.shell("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout k -out ca");
    scene.store.trust(&scene.path("ca")).unwrap();
    let generation = issued.paths.key.parent().unwrap().canonicalize().unwrap();
    let trusted = fs::read_dir(scene.in_store("trusted")).unwrap().next().unwrap().unwrap().path();
    let use_everything = || {
        scene.store.credential(&name("db1"))?;
        scene.store.anchors()?;
        scene.store.issue(&[name("db2")], HOUR, SystemTime::now())
    };
    use_everything().unwrap();
    for (path, bad) in [
        (issued.paths.key.clone(), 0o604),
        (issued.paths.key, 0o640),
        (issued.paths.certificate, 0o664),
        (scene.in_store("authority.key"), 0o640),
        (scene.in_store("authority.pem"), 0o646),
        (scene.in_store("issued"), 0o770),
        (scene.in_store("trusted"), 0o702),
        (scene.in_store(""), 0o1777),
        (generation, 0o720),
        (trusted, 0o666),
    ] {
        let good = mode(&path);
        let before = Stamp::of(&scene.store.watched());
        set_mode(&path, bad);
        assert_ne!(Stamp::of(&scene.store.watched()), before, "{path:?} is not watched");
        let error = use_everything().unwrap_err();
        let says = (error.to_string(), error.hint());
        assert!(says.0.ends_with(&format!("(mode {bad:04o})")), "{path:?}: {says:?}");
        assert!(says.1.starts_with("run: chmod "), "{path:?}: {says:?}");
        // The advice is good.
        scene.shell(says.1.strip_prefix("run: ").unwrap());
        use_everything().unwrap();
        set_mode(&path, good);
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(scene.in_store("authority.key"), Some(65534), None).unwrap();
        let error = use_everything().unwrap_err();
        assert!(matches!(error, IdentityError::NotOurs { owner: 65534, .. }), "{error}");
    }
}

#[test]
fn only_authorities_become_trusted() {
    let scene = Scene::with_authority();
    scene.shell(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=one -keyout k -out one
         openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=two -keyout k -out two
         openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=leaf -keyout k -out leaf \
            -addext basicConstraints=critical,CA:FALSE
         cat one two >both; cat both leaf >mixed; echo hello >text",
    );
    let trust = |file: &str| scene.store.trust(&scene.path(file));
    scene.refused(
        trust("mixed"),
        "~/mixed holds an end-entity certificate, of CN=leaf, which is not an authority",
        "it is self-signed: have an authority issue another in its place, and trust that authority",
    );
    scene.refused(
        trust("text"),
        "~/text holds no certificate",
        "give a PEM file with a block that begins -----BEGIN CERTIFICATE-----",
    );
    assert_eq!(scene.store.anchors().unwrap().len(), 1, "all or nothing");
    assert_eq!(trust("one").unwrap(), 1);
    assert_eq!(trust("both").unwrap(), 1);
    assert_eq!(trust("both").unwrap(), 0);
    assert_eq!(scene.store.anchors().unwrap().len(), 3);
    let inventory = scene.store.show(SystemTime::now()).unwrap();
    let mut subjects: Vec<_> = inventory.trusted.iter().map(|entry| &*entry.subject).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["CN=one", "CN=two"]);
    let file = inventory.trusted[0].path.file_stem().unwrap().to_str().unwrap();
    assert_eq!((file.len(), inventory.trusted[0].fingerprint.starts_with(file)), (16, true));
}

#[test]
fn exports_are_what_openssl_reads_and_never_the_key_of_the_authority() {
    let scene = Scene::with_authority();
    scene.issue(&["db1"]);
    let export = |asked: Option<&str>, key| {
        let asked = asked.map(name);
        scene.store.export(asked.as_ref(), key).map(|text| text.to_string())
    };
    // Not even if somebody has put it where it does not belong.
    scene.shell("cat ${A%.pem}.key >>$A");
    fs::write(scene.path("ca"), export(None, false).unwrap()).unwrap();
    fs::write(scene.path("chain"), export(Some("db1"), false).unwrap()).unwrap();
    fs::write(scene.path("pair"), export(Some("db1"), true).unwrap()).unwrap();
    scene.shell("openssl verify -CAfile ca chain; openssl pkey -in pair -noout -check");
    for (file, has_key) in [("ca", false), ("chain", false), ("pair", true)] {
        let text = fs::read_to_string(scene.path(file)).unwrap();
        assert_eq!(text.contains("PRIVATE KEY"), has_key, "{file}");
    }
    scene.refused(
        export(None, true),
        "the key of the authority is never exported",
        "leave out the key: others need the certificate only",
    );
}

#[test]
fn a_pair_is_whole_while_it_is_replaced() {
    const TIMES: usize = 200;
    let scene = Scene::with_authority();
    let paths = scene.issue(&["db1"]).paths;
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..TIMES {
                scene.issue(&["db1"]);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut seen = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let before = Stamp::of(&scene.store.watched());
            load_credential(&paths.certificate, &paths.key).unwrap();
            let credential = scene.store.credential(&name("db1")).unwrap();
            assert_eq!(credential.names().len(), 1);
            if !seen.contains(&before) {
                seen.push(before);
            }
        }
        assert!(seen.len() > TIMES / 20, "the reader saw only {} generations", seen.len());
    });
    assert_eq!(fs::read_dir(scene.in_store("issued")).unwrap().count(), 2);
}
