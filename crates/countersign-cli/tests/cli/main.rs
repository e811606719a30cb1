//! The command as a person uses it: the built binary, real sockets, and for its peers programs that
//! we did not write. Each test has a directory of its own and touches nothing else.

mod connect;
mod datagrams;
mod demo;
mod forward;
mod generate;
mod gnutls;
mod identity;
mod kerberos;
mod look;
mod openssl_clients;
mod openssl_servers;
mod plain;
mod programs;
mod relays;
mod resumption;
mod rights;
mod serve;
mod session;
mod terminal;
mod usage;
