//! Random and mutated text into every parser of this crate: an error or a value, never a panic.

use countersign_core::{PeerName, PeerPattern, Policy};

/// Inputs for each parser; the same on every run.
const INPUTS: usize = 100_000;

/// A generator that is the same on every machine (xorshift64*, Marsaglia and Vigna).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap() % bound
    }

    /// One of the seeds with some bytes changed, taken out, doubled or put in; or only noise.
    fn text(&mut self, seeds: &[&str]) -> String {
        let mut bytes = match self.below(8) {
            0 => (0..self.below(64)).map(|_| self.byte()).collect(),
            _ => seeds[self.below(seeds.len())].as_bytes().to_vec(),
        };
        for _ in 0..self.below(6) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] = self.byte(),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"/@:.*[]\0\"\n=#-_%"[self.below(15)]),
                3 => bytes.truncate(at),
                _ => bytes.extend_from_within(..at),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[test]
fn names_and_patterns() {
    let seeds = [
        "postgres/db1.example.com:5432@EXAMPLE.COM",
        "ldap/dc1.example.com/example.com@EXAMPLE.COM",
        "alice@EXAMPLE.COM",
        "spiffe://prod/billing/eu",
        "bücher.example",
        "host/[2001:db8::1]:443",
        "xn--bcher-kva.example",
        "*@EXAMPLE.COM",
        "*/*.example.com",
        "spiffe://prod/*",
    ];
    let mut random = Random(1);
    let mut names = 0;
    for _ in 0..INPUTS {
        let text = random.text(&seeds);
        if let Ok(name) = text.parse::<PeerName>() {
            names += 1;
            let shown = name.to_string();
            assert!(!shown.contains(|c: char| c.is_control()), "{text:?}");
            assert_eq!(shown.parse::<PeerName>().as_ref(), Ok(&name), "{text:?} as {shown:?}");
            assert!(PeerPattern::from(name.clone()).matches(&name));
        }
        if let Ok(pattern) = text.parse::<PeerPattern>() {
            let shown = pattern.to_string();
            assert_eq!(shown.parse::<PeerPattern>(), Ok(pattern), "{text:?} as {shown:?}");
        }
    }
    assert!(names > INPUTS / 50, "the mutations still reach the inside: {names}");
}

#[test]
fn policies() {
    let seeds = [
        "[identity]\ncertificate = \"a\"\nkey = \"b\"\n[trust]\nanchors = [\"c\"]\n",
        "[[target]]\naddress = \"10.0.0.5:5432\"\nname = \"postgres/db1\"\n",
        "[[allow]]\nlisten = \"*:443\"\npeers = [\"*@A\", \"spiffe://prod/*\"]\n",
        "[limits]\nhandshakes = 64\nhandshake-timeout-ms = 500\n",
        "[require]\nsecurity = true\n[server]\nclient-certificates = \"require\"\n",
    ];
    let mut random = Random(2);
    let mut policies = 0;
    for _ in 0..INPUTS {
        let text = random.text(&seeds);
        match Policy::parse(&text, "hostile") {
            Ok(_) => policies += 1,
            Err(error) => assert!(
                error.line >= 1
                    && error.column >= 1
                    && error.line <= text.matches('\n').count() + 1,
                "{error} for {text:?}"
            ),
        }
    }
    assert!(policies > INPUTS / 50, "the mutations still reach the inside: {policies}");
}
