//! A real directory (slapd) in a process of its own: people, groups in groups, TLS by an authority made for it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is in a directory, as LDIF, below `dc=example,dc=org`. Two servers with it are replicas: people have the same ids.
pub const PEOPLE: &str = "\
dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n\
dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people\n\n\
dn: ou=groups,dc=example,dc=org\nobjectClass: organizationalUnit\nou: groups\n\n\
dn: cn=svc,dc=example,dc=org\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: svc\n\
userPassword: service-password\n\n\
dn: uid=ana,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ana\nentryUUID: 2a5e8c1e-7a61-4d0c-9a0b-000000000001\ncn: Ana Example\nsn: Example\n\
mail: ana@example.org\nuserPassword: ana-password\n\n\
dn: uid=bo,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: bo\nentryUUID: 2a5e8c1e-7a61-4d0c-9a0b-000000000002\ncn: Bo (Other)\nsn: Other\n\
mail: bo@example.org\nuserPassword: bo-password\n\n\
dn: cn=team,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: team\n\
member: uid=ana,ou=people,dc=example,dc=org\n\n\
dn: cn=eng,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: eng\n\
member: cn=team,ou=groups,dc=example,dc=org\nmember: cn=staff,ou=groups,dc=example,dc=org\n\n\
dn: cn=staff,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: staff\n\
member: cn=eng,ou=groups,dc=example,dc=org\n\n\
dn: cn=sales,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: sales\n\
member: uid=bo,ou=people,dc=example,dc=org\n";

/// Those who are no people and no groups, and so many people (`u0` with the password `p0` …) in so many groups (`g0` …), each
/// of them a member of the next one up to every tenth.
pub fn many(people: usize, groups: usize) -> String {
    let mut entries = PEOPLE.split("dn: cn=team").next().unwrap().to_owned();
    for n in 0..people {
        entries.push_str(&format!(
            "dn: uid=u{n},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: u{n}\ncn: User {n}\nsn: N\n\
             userPassword: p{n}\n\n"
        ));
    }
    for group in 0..groups {
        entries.push_str(&format!(
            "dn: cn=g{group},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: g{group}\n"
        ));
        for person in (group..people).step_by(groups) {
            entries.push_str(&format!("member: uid=u{person},ou=people,dc=example,dc=org\n"));
        }
        if group % 10 != 0 {
            entries.push_str(&format!("member: cn=g{},ou=groups,dc=example,dc=org\n", group - 1));
        }
        entries.push('\n');
    }
    entries
}

/// A running directory; it ends with this value.
#[derive(Debug)]
pub struct Directory {
    child: Child,
    /// Its folder: `ca.pem` is the authority of its certificate.
    pub folder: PathBuf,
    /// Where it speaks LDAP, with StartTLS when it has a certificate.
    pub plain: SocketAddr,
    /// Where it speaks LDAPS.
    pub secure: SocketAddr,
}

/// How a directory is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its certificate and key (PEM), and the authority's certificate; none: no TLS at all.
    pub tls: Option<(&'a str, &'a str, &'a str)>,
    /// Its entries as LDIF.
    pub entries: &'a str,
    /// The most entries that a search gives without pages.
    pub limit: u32,
    /// The most that all pages of a search give together; none: any number.
    pub total: Option<u32>,
}

impl<'a> Setup<'a> {
    /// With these entries, and with TLS when there is a certificate, its key and its authority.
    pub const fn new(entries: &'a str, tls: Option<(&'a str, &'a str, &'a str)>) -> Self {
        Self { tls, entries, limit: 500, total: None }
    }
}

/// Debian keeps it where only root looks.
fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/lib"]
        .iter()
        .map(|at| Path::new(at).join(name))
        .find(|at| at.is_file())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Directory {
    /// Starts one in this folder; none without slapd, which fails with CI=true.
    pub fn start(folder: &Path, setup: Setup<'_>) -> Option<Self> {
        let Some(slapd) = program("slapd") else {
            assert!(std::env::var("CI").is_err(), "slapd is missing: tools/prerequisites.sh test");
            crate::fixtures::skipped("slapd is missing (tools/prerequisites.sh test)");
            return None;
        };
        std::fs::create_dir_all(folder.join("db")).unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        let mut tls = String::new();
        if let Some((certificate, key, authority)) = setup.tls {
            for (name, text) in [("server.pem", certificate), ("server.key", key), ("ca.pem", authority)] {
                std::fs::write(folder.join(name), text).unwrap();
            }
            tls = format!(
                "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSVerifyClient never\n",
                at("ca.pem"),
                at("server.pem"),
                at("server.key")
            );
        }
        let limit = setup.limit;
        let total = setup.total.map_or_else(|| "unlimited".to_owned(), |total| total.to_string());
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\npidfile {}\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n{tls}\
             sizelimit size.soft={limit} size.hard={limit} size.prtotal={total}\n\
             database mdb\nsuffix \"dc=example,dc=org\"\nrootdn \"cn=admin,dc=example,dc=org\"\nrootpw admin-password\n\
             directory {}\nmaxsize 268435456\nindex objectClass eq\nindex uid,cn,mail eq\nindex member eq\n\
             access to attrs=userPassword by self write by anonymous auth by * none\n\
             access to * by dn.exact=\"cn=svc,dc=example,dc=org\" read by users read by * none\n",
            at("pid"),
            at("db")
        );
        std::fs::write(folder.join("slapd.conf"), config).unwrap();
        std::fs::write(folder.join("entries.ldif"), setup.entries).unwrap();
        let slapadd = program("slapadd").expect("slapadd stands beside slapd");
        let loaded =
            Command::new(slapadd).args(["-q", "-f", &at("slapd.conf"), "-l", &at("entries.ldif")]).output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let (plain, secure) = (free_port(), free_port());
        let listen = match setup.tls {
            Some(_) => format!("ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{secure}/"),
            None => format!("ldap://127.0.0.1:{plain}/"),
        };
        let child = Command::new(slapd)
            .args(["-d", "0", "-f", &at("slapd.conf"), "-h", &listen])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("slapd starts");
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let directory = Self { child, folder: folder.to_owned(), plain: local(plain), secure: local(secure) };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(directory.plain).is_err() {
            assert!(Instant::now() < until, "slapd does not answer");
            std::thread::yield_now();
        }
        Some(directory)
    }

    /// `ldap://127.0.0.1:PORT`.
    pub fn plain_url(&self) -> String {
        format!("ldap://{}", self.plain)
    }

    /// `ldaps://127.0.0.1:PORT`.
    pub fn secure_url(&self) -> String {
        format!("ldaps://{}", self.secure)
    }

    /// Changes entries, as the administrator: an LDIF of changes.
    pub fn change(&self, ldif: &str) {
        let file = self.folder.join("change.ldif");
        std::fs::write(&file, ldif).unwrap();
        let done = Command::new(program("ldapmodify").expect("ldapmodify stands beside slapd"))
            .args(["-x", "-H", &self.plain_url(), "-D", "cn=admin,dc=example,dc=org", "-w", "admin-password", "-f"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
