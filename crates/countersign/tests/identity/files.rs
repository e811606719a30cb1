//! Files of other authorities, as openssl writes them, with the usual mistakes.

use std::fs;

use countersign::identity::{IdentityError, load_anchors, system_anchors};
use countersign_lab::{Authority, Charter};

use crate::{Scene, in_own_process, set_mode};

/// Makes, with openssl: root ─▶ middle ─▶ db1 (`leaf`, `key`, `chain` is leaf and middle).
const CHAIN: &str = "umask 077; exec 2>/dev/null
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=root -keyout root.key -out root
    openssl req -newkey rsa:2048 -nodes -subj /CN=middle -keyout middle.key -out csr
    echo basicConstraints=critical,CA:TRUE >ext
    openssl x509 -req -in csr -CA root -CAkey root.key -extfile ext -out middle
    openssl req -newkey rsa:2048 -nodes -subj /CN=db1 -keyout key -out csr
    echo subjectAltName=DNS:db1 >ext
    openssl x509 -req -in csr -CA middle -CAkey middle.key -extfile ext -out leaf
    cat leaf middle >chain; cat middle leaf >backwards; cat key chain >pair";

#[test]
fn chains_of_other_authorities_load_and_mistakes_are_named() {
    let scene = Scene::empty();
    scene.shell(CHAIN);
    scene.shell("openssl verify -CAfile root -untrusted middle leaf");
    assert_eq!(scene.load("chain", "key").unwrap(), ["host/db1"]);
    assert_eq!(scene.load("pair", "pair").unwrap(), ["host/db1"]);
    assert_eq!(load_anchors(&scene.path("root")).unwrap().len(), 1);
    scene.refused(
        scene.load("backwards", "key"),
        "in ~/backwards the certificate of the key is number 2, and it must be the first",
        "put the certificate of the key first, then its issuer, and so on",
    );
    scene.refused(
        scene.load("leaf", "middle.key"),
        "the private key in ~/middle.key does not belong to the certificate in ~/leaf",
        "give the key with which the certificate was requested; whose it is says: openssl x509 \
         -noout -subject -in ~/leaf",
    );
    scene.refused(
        scene.load("key", "chain"),
        "~/key holds no certificate, but a PRIVATE KEY",
        "give a PEM file with a block that begins -----BEGIN CERTIFICATE-----",
    );
    scene.shell("chmod 600 csr");
    scene.refused(
        scene.load("leaf", "csr"),
        "~/csr holds no private key, but a CERTIFICATE REQUEST",
        "give a PEM file with a block that begins -----BEGIN PRIVATE KEY-----",
    );
    let absent = "cannot open ~/absent: No such file or directory (os error 2)";
    scene.refused(scene.load("absent", "key"), absent, "check the path");
    scene.shell("head -c 1100000 /dev/zero >large");
    scene.refused(
        scene.load("large", "key"),
        "~/large is larger than 1048576 bytes",
        "check that it is the file that you mean",
    );
}

#[test]
fn keys_load_in_every_form_that_openssl_writes() {
    let scene = Scene::empty();
    for (make, first_line) in [
        ("openssl genpkey -algorithm RSA -out key", "-----BEGIN PRIVATE KEY-----"),
        ("openssl genrsa -traditional -out key 2048", "-----BEGIN RSA PRIVATE KEY-----"),
        ("openssl ecparam -genkey -name prime256v1 -out key", "-----BEGIN EC PARAMETERS-----"),
        (
            "openssl ecparam -genkey -noout -name secp384r1 -out key",
            "-----BEGIN EC PRIVATE KEY-----",
        ),
        ("openssl genpkey -algorithm ed25519 -out key", "-----BEGIN PRIVATE KEY-----"),
    ] {
        scene.shell(&format!("umask 077; {make} 2>/dev/null"));
        let text = fs::read_to_string(scene.path("key")).unwrap();
        assert_eq!(text.lines().next(), Some(first_line), "{make}");
        scene.shell(
            "openssl req -x509 -key key -subj /CN=x -addext subjectAltName=DNS:db1 -out chain",
        );
        assert_eq!(scene.load("chain", "key").unwrap(), ["host/db1"], "{make}");
    }
}

#[test]
fn encrypted_and_binary_files_say_how_to_convert_them() {
    let scene = Scene::empty();
    scene.shell(CHAIN);
    scene.shell(
        "openssl pkcs8 -topk8 -in key -out pkcs8 -passout pass:x
         openssl rsa -in key -traditional -aes128 -out traditional -passout pass:x
         openssl pkey -in key -outform DER -out key.der; chmod 600 key.der
         openssl x509 -in leaf -outform DER -out leaf.der
         openssl pkcs12 -export -in leaf -inkey key -out both.p12 -passout pass:x",
    );
    for file in ["pkcs8", "traditional"] {
        scene.shell(&format!("chmod 600 {file}; cat leaf >>{file}"));
        let hint = format!(
            "decrypt it into a file that only you can read: \
             (umask 077 && openssl pkey -in ~/{file} -out ~/{file}.plain)"
        );
        let message = format!("the private key in ~/{file} is encrypted");
        scene.refused(scene.load(file, file), &message, &hint);
        // The advice is good.
        scene.shell(&format!(
            "(umask 077 && openssl pkey -in {file} -out {file}.plain -passin pass:x)"
        ));
        assert_eq!(scene.load("leaf", &format!("{file}.plain")).unwrap(), ["host/db1"]);
    }
    for (chain, key, converted) in
        [("leaf.der", "key", ["leaf.der.pem", "key"]), ("leaf", "key.der", ["leaf", "key.der.pem"])]
    {
        let error = scene.load(chain, key).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("is in binary form (DER), and the text form (PEM) is needed")
        );
        scene.shell(error.hint().strip_prefix("convert it: ").unwrap());
        assert_eq!(scene.load(converted[0], converted[1]).unwrap(), ["host/db1"]);
    }
    let hint = scene.load("both.p12", "key").unwrap_err().hint();
    assert!(hint.starts_with("it seems to be PKCS #12; convert it: "), "{hint}");
    assert!(matches!(load_anchors(&scene.path("leaf.der")), Err(IdentityError::Der { .. })));
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let scene = Scene::empty();
    scene.shell(CHAIN);
    let root = rustix::process::geteuid().is_root();
    for (mode, good) in [
        (0o600, true),
        (0o400, true),
        // Debian's ssl-cert: the group may read what belongs to root.
        (0o640, root),
        (0o440, root),
        (0o660, false),
        (0o604, false),
        (0o644, false),
    ] {
        set_mode(scene.path("key"), mode);
        let found = scene.load("chain", "key");
        if good {
            found.unwrap();
        } else {
            let message = format!("others can use the private key ~/key (mode {mode:04o})");
            scene.refused(found, &message, "run: chmod 600 ~/key");
        }
    }
}

#[test]
fn directories_of_anchors_are_read_in_order() {
    let scene = Scene::empty();
    scene.shell(CHAIN);
    scene.shell(
        "mkdir anchors empty; cp root anchors/b.pem; cp middle anchors/a.crt
         cat root middle >anchors/all.pem; echo ignored >anchors/README",
    );
    let anchors = load_anchors(&scene.path("anchors")).unwrap();
    let alone = |file| load_anchors(&scene.path(file)).unwrap().remove(0);
    assert_eq!(anchors, [alone("middle"), alone("root")]);
    scene.refused(
        load_anchors(&scene.path("empty")),
        "~/empty holds no certificate",
        "give a PEM file with a block that begins -----BEGIN CERTIFICATE-----",
    );
    scene.shell("cp key anchors/key.pem");
    let error = load_anchors(&scene.path("anchors")).unwrap_err();
    assert!(error.to_string().ends_with("anchors/key.pem holds no certificate, but a PRIVATE KEY"));
}

#[test]
fn anchors_of_the_host_come_from_where_openssl_looks() {
    const THIS: &str = "files::anchors_of_the_host_come_from_where_openssl_looks";
    // In a process of its own this only looks, under the variables that it was given.
    if let Ok(expected) = std::env::var("EXPECTED_ANCHORS") {
        let found = system_anchors().map(|anchors| anchors.len().to_string());
        assert_eq!(found.unwrap_or_else(|error| error.hint()), expected);
        return;
    }
    let scene = Scene::empty();
    scene.shell(CHAIN);
    for (file, expected) in [
        // Of leaf and middle, one is an authority.
        ("chain", "1"),
        ("absent", "install them (on Debian: apt install ca-certificates), or name a file"),
    ] {
        let file = scene.path(file);
        let variables = format!(
            "unset SSL_CERT_DIR; export SSL_CERT_FILE='{}' EXPECTED_ANCHORS='{expected}';",
            file.display()
        );
        in_own_process(&variables, THIS);
    }
}

#[test]
fn only_authorities_that_have_not_expired_become_anchors() {
    let scene = Scene::empty();
    scene.shell(CHAIN);
    // A server pins its peer's certificate: that must not make the peer an authority.
    scene.refused(
        load_anchors(&scene.path("chain")),
        "~/chain holds an end-entity certificate, of CN=db1, which is not an authority",
        "trust the certificate of its issuer instead: CN=middle",
    );
    scene.shell(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mute \
         -addext keyUsage=digitalSignature -keyout mute.key -out mute 2>/dev/null",
    );
    let message = load_anchors(&scene.path("mute")).unwrap_err().to_string();
    assert!(message.ends_with("its key usage lacks keyCertSign"), "{message}");
    let old = Authority::new(Charter::new("old").valid(1_000_000_000, 1_100_000_000));
    fs::write(scene.path("old"), old.pem()).unwrap();
    scene.shell("cat old root >both");
    let root = load_anchors(&scene.path("root")).unwrap();
    assert_eq!(load_anchors(&scene.path("both")).unwrap(), root);
    let error = load_anchors(&scene.path("old")).unwrap_err();
    assert!(matches!(error, IdentityError::AnchorsExpired { .. }), "{error}");
    assert!(error.to_string().contains("/old has expired, the last at 2004-"), "{error}");
}
